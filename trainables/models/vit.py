"""A vision transformer: an image as a sequence of square patches, with learnt positions and the mean of the last layer.

Source: Dosovitskiy et al., 2021, arXiv:2010.11929, sec. 3.1.  Differs: the patches are averaged in the end instead of
read out at a token of its own (Beyer et al., 2022, arXiv:2205.01580), and queries, keys and values have no bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import PerMember, PositiveInt

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    patch: PositiveInt = 2
    """Pixels along the side of a patch. It divides the sides of the images."""
    width: PositiveInt = 32
    """Numbers that stand for a patch. A multiple of ``heads``."""
    depth: PositiveInt = 2
    """Number of blocks of attention and perceptron."""
    heads: PositiveInt = 2
    """Of each attention."""
    expansion: PositiveInt = 2
    """Hidden units of each perceptron, over ``width``."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an output of attention or perceptron is zeroed in a training step."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, initialised
        from trainables.training.patches import Patches
        from trainables.training.sequences import Pool, Positions

        patches = Patches.of(shape, self.patch, "vit")

        def layers() -> nn.Sequential:
            read = [patches, Linear(patches.size, self.width), Positions(patches.count, self.width)]
            blocks = [part for _ in range(self.depth) for part in self._block()]
            head = [nn.LayerNorm(self.width), Pool(last=False), Linear(self.width, num_classes)]
            return nn.Sequential(*read, *blocks, *head)

        return initialised(layers, init)

    def _block(self) -> list[nn.Module]:
        from trainables.training.sequences import Attention, transformer_block

        attention = Attention(self.width, self.heads)
        return transformer_block(attention, self.width, self.expansion * self.width, self.dropout)

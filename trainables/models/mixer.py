"""MLP-Mixer: perceptrons along the patches of an image, and along the features of each patch, in turns.

Source: Tolstikhin et al., 2021, arXiv:2105.01601, sec. 2.
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
    """Numbers that stand for a patch."""
    depth: PositiveInt = 2
    """Number of blocks of the two perceptrons."""
    token_width: PositiveInt = 32
    """Hidden units of the perceptrons along the patches."""
    channel_width: PositiveInt = 64
    """Hidden units of the perceptrons along the features."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an output of a perceptron is zeroed in a training step."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, initialised
        from trainables.training.patches import Patches
        from trainables.training.sequences import Pool

        patches = Patches.of(shape, self.patch, "mixer")

        def layers() -> nn.Sequential:
            blocks = [part for _ in range(self.depth) for part in self._block(patches.count)]
            head = [nn.LayerNorm(self.width), Pool(last=False), Linear(self.width, num_classes)]
            return nn.Sequential(patches, Linear(patches.size, self.width), *blocks, *head)

        return initialised(layers, init)

    def _block(self, num_patches: int) -> list[nn.Module]:
        from torch import nn

        from trainables.training.layers import Residual
        from trainables.training.sequences import Transposed, perceptron

        along_patches = Transposed(*perceptron(num_patches, self.token_width, self.dropout))
        along_features = perceptron(self.width, self.channel_width, self.dropout)
        return [Residual(nn.LayerNorm(self.width), part) for part in (along_patches, nn.Sequential(*along_features))]

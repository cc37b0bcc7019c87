"""A transformer for sequences.

Inputs are sequences of ``vocabulary`` different tokens, of shape ``(length,)``: whole numbers from 0 on, which may be
floats, and which ``split.standardise: false`` leaves as they are. Without a vocabulary they are read as numbers: images
row by row, vectors value by value.
Each block normalises before attention and before its perceptron; positions are learnt.
Source: Vaswani et al., 2017, arXiv:1706.03762, with the normalisation of Xiong et al., 2020, arXiv:2002.04745.
Differs: queries, keys and values have no bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegativeInt, PerMember, PositiveInt

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    vocabulary: NonNegativeInt = 0
    """Number of different tokens. 0: the inputs are no tokens."""
    width: PositiveInt = 32
    """Numbers that stand for a position. A multiple of ``heads``."""
    depth: PositiveInt = 2
    """Number of blocks of attention and perceptron."""
    heads: PositiveInt = 2
    """Of each attention."""
    expansion: PositiveInt = 4
    """Hidden units of each perceptron, over ``width``."""
    causal: bool = False
    """Whether a position sees only itself and those before it. Then the last one is classified, otherwise the mean."""
    qk_norm: bool = False
    """Normalise queries and keys of each head (Dehghani et al., 2023, arXiv:2302.05442, sec. 2)."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an output of attention or perceptron is zeroed in a training step."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        """Classifies whole sequences."""
        from trainables.training.sequences import Pool

        return self._build(shape, num_classes, init, [Pool(last=self.causal)])

    def build_each(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        """Gives logits at every position, ``(batch, length, num_classes)``: a language model if ``causal``."""
        return self._build(shape, num_classes, init, [])

    def _build(self, shape: tuple[int, ...], num_classes: int, init: Generator, pool: list[nn.Module]) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, initialised
        from trainables.training.sequences import Positions

        length = shape[-2] if len(shape) == 3 else shape[0]

        def layers() -> nn.Sequential:
            read = [*self._reader(shape), Positions(length, self.width)]
            blocks = [part for _ in range(self.depth) for part in self._block()]
            return nn.Sequential(*read, *blocks, nn.LayerNorm(self.width), *pool, Linear(self.width, num_classes))

        return initialised(layers, init)

    def _reader(self, shape: tuple[int, ...]) -> list[nn.Module]:
        from trainables.training.layers import Linear
        from trainables.training.sequences import Tokens, Values

        if not self.vocabulary:
            return [Values(), Linear(math.prod(shape) // (shape[-2] if len(shape) == 3 else shape[0]), self.width)]
        if len(shape) != 1:
            raise ValueError(f"model transformer: got inputs of shape {shape}, expected (length,) with a vocabulary")
        return [Tokens(self.vocabulary, self.width)]

    def _block(self) -> list[nn.Module]:
        from trainables.training.sequences import Attention, transformer_block

        attention = Attention(self.width, self.heads, causal=self.causal, qk_norm=self.qk_norm)
        return transformer_block(attention, self.width, self.expansion * self.width, self.dropout)

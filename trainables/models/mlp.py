"""A multilayer perceptron: hidden layers of one width, each with an activation and dropout. Images are flattened.

With a ``vocabulary`` the inputs are sequences of token numbers, whose embeddings lie side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt

from trainables.api import NonNegativeInt, PerMember, PositiveInt
from trainables.training.activations import Activation, activation_layer, gain_of, outputs_of

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 64
    """Units in each hidden layer. With ``crelu``, which makes two numbers of one, half of them have weights."""
    depth: PositiveInt = 2
    """Number of hidden layers."""
    activation: Activation = "relu"
    normalisation: Literal["none", "layer", "batch"] = "none"
    """What the input of each activation goes through. With several workers, ``batch`` is over each one's share."""
    residual: bool = False
    """Whether each hidden layer but the first adds its output to its input."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that a hidden unit is zeroed in a training step."""
    vocabulary: NonNegativeInt = 0
    """Number of different tokens, with ``split.standardise: false``. 0: the inputs are no tokens."""
    embedding: PositiveInt = 64
    """Numbers that stand for a token."""

    def __post_init__(self) -> None:
        if self.width % outputs_of(self.activation):
            raise ValueError(f"width {self.width} must be even with {self.activation}")

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, initialised
        from trainables.training.sequences import Tokens

        def layers() -> nn.Sequential:
            read = [Tokens(self.vocabulary, self.embedding)] if self.vocabulary else []
            inputs = math.prod(shape) * (self.embedding if self.vocabulary else 1)
            later = chain.from_iterable(self._hidden(self.width) for _ in range(self.depth - 1))
            return nn.Sequential(*read, nn.Flatten(), *self._layer(inputs), *later, Linear(self.width, num_classes))

        return initialised(layers, init, gain_of(self.activation))

    def _hidden(self, inputs: int) -> list[nn.Module]:
        from trainables.training.layers import Residual

        layer = self._layer(inputs)
        return [Residual(*layer)] if self.residual else layer

    def _layer(self, inputs: int) -> list[nn.Module]:
        from torch import nn

        from trainables.training.layers import BatchNorm1d, Dropout, Linear

        biased = self.normalisation != "batch"  # which would take a bias away again
        units = self.width // outputs_of(self.activation)
        norms = {"none": [], "layer": [nn.LayerNorm(units)], "batch": [BatchNorm1d(units)]}
        linear = Linear(inputs, units, bias=biased)
        return [linear, *norms[self.normalisation], activation_layer(self.activation), Dropout(self.dropout)]

"""A multilayer perceptron: hidden layers of one width, each with an activation and dropout. Images are flattened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt

from trainables.api import PerMember, PositiveInt

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 64
    """Units in each hidden layer."""
    depth: PositiveInt = 2
    """Number of hidden layers."""
    activation: Literal["relu", "gelu", "tanh"] = "relu"
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that a hidden unit is zeroed in a training step."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Dropout, initialised

        activation = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[self.activation]
        widths = [math.prod(shape), *[self.width] * self.depth]

        def layers() -> nn.Sequential:
            triples = ((nn.Linear(n, m), activation(), Dropout(self.dropout)) for n, m in pairwise(widths))
            return nn.Sequential(nn.Flatten(), *chain.from_iterable(triples), nn.Linear(widths[-1], num_classes))

        return initialised(layers, init, "tanh" if self.activation == "tanh" else "relu")

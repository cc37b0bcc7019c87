"""Random ReLU features: a linear classifier on top of a random layer that is never trained. Images are flattened.

The random weights have deviation sqrt(2 / inputs) and the features are divided by sqrt(width), so that their squared
length is that of the mean squared input on average, whatever the width.
Source: Rahimi and Recht, 2007 ("Random Features for Large-Scale Kernel Machines"); ReLU features as in Belkin et al.,
2019, arXiv:1812.11118.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import PositiveInt

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 256
    """Number of features. The parameters are those of the linear classifier alone."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn, randn

        from trainables.training.layers import Fixed, Linear, initialised

        inputs = math.prod(shape)
        deviation = math.sqrt(2 / (inputs * self.width))  # the features' share of it: relu(a z) = a relu(z)

        def drawn(stream: Generator, size: tuple[int, int]) -> Tensor:
            return randn(size, generator=stream) * deviation

        def layers() -> nn.Sequential:
            features = [nn.Flatten(), Fixed(inputs, self.width, drawn), nn.ReLU()]
            return nn.Sequential(*features, Linear(self.width, num_classes))

        return initialised(layers, init)

"""A small convolutional network for images from 8 x 8 to 32 x 32 pixels.

Two blocks of 3 x 3 convolution, group normalisation, 2 x 2 max pooling and ReLU, of ``width`` and ``2 * width``
channels; then an average down to 2 x 2, dropout, and a linear layer.
Group normalisation (Wu and He, 2018, arXiv:1803.08494) because, unlike batch normalisation, it gives the same result
however many workers share a batch.
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
    width: PositiveInt = 16
    """Channels of the first convolution."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an input of the last layer is zeroed in a training step."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.convolution import AdaptiveAvgPool2d, Conv2d, GroupNorm, MaxPool2d
        from trainables.training.layers import Dropout, initialised

        if len(shape) != 3 or min(shape[1:]) < 8:
            expected = "images (channels, height, width) of at least 8 x 8 pixels"
            raise ValueError(f"model cnn: got inputs of shape {shape}, expected {expected}; `mlp` takes any shape")

        def block(channels: int, width: int) -> list[nn.Module]:
            convolution = Conv2d(channels, width, 3, padding=1, bias=False)
            return [convolution, GroupNorm(1, width), MaxPool2d(2), nn.ReLU()]  # ReLU last has a quarter to do

        def layers() -> nn.Sequential:
            blocks = [*block(shape[0], self.width), *block(self.width, 2 * self.width)]
            head = [Dropout(self.dropout), nn.Linear(8 * self.width, num_classes)]
            return nn.Sequential(*blocks, AdaptiveAvgPool2d(2), nn.Flatten(), *head)

        return initialised(layers, init)

"""A residual network for images of at least 8 x 8 pixels: ResNet-18 with ``{width: 64, stages: 4, blocks: 2}``.

Images of 96 pixels and more enter by a 7 x 7 convolution and max pooling, each of which halves them; smaller ones by a
3 x 3 convolution that keeps their size.
Source: He et al., 2016, arXiv:1512.03385, secs. 3.3, 4.1 and 4.2, with basic blocks and projection shortcuts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.api import PositiveInt

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 8
    """Channels of the first stage; each further one has twice as many. 64 in ResNet-18."""
    stages: PositiveInt = 3
    """Each but the first halves the sides of the image."""
    blocks: PositiveInt = 1
    """In each stage; a block is two 3 x 3 convolutions."""
    normalisation: Literal["batch", "group", "none"] = "batch"
    """``group``: over all values of an image. With several workers, ``batch`` is over each one's share."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.convolution import AdaptiveAvgPool2d
        from trainables.training.layers import initialised

        if len(shape) != 3 or min(shape[1:]) < 8:
            expected = "images (channels, height, width) of at least 8 x 8 pixels"
            raise ValueError(f"model resnet: got inputs of shape {shape}, expected {expected}; `mlp` takes any shape")

        def layers() -> nn.Sequential:
            parts = [part for number in range(self.stages) for part in self._stage(number)]
            head = [AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.width * 2 ** (self.stages - 1), num_classes)]
            return nn.Sequential(*self._stem(shape), *parts, *head)

        return initialised(layers, init)

    def _stem(self, shape: tuple[int, ...]) -> list[nn.Module]:
        from torch import nn

        from trainables.training.convolution import MaxPool2d

        if min(shape[1:]) < 96:
            return [*self._convolution(shape[0], self.width, 3, 1), nn.ReLU()]
        return [*self._convolution(shape[0], self.width, 7, 2), nn.ReLU(), MaxPool2d(3, 2, 1)]

    def _stage(self, number: int) -> list[nn.Module]:
        width = self.width * 2**number
        first = self._block(width // 2, width, stride=2) if number else self._block(width, width, stride=1)
        return [*first, *(part for _ in range(self.blocks - 1) for part in self._block(width, width, stride=1))]

    def _block(self, channels: int, width: int, *, stride: int) -> list[nn.Module]:
        from torch import nn

        from trainables.training.layers import Residual

        body = [*self._convolution(channels, width, 3, stride), nn.ReLU(), *self._convolution(width, width, 3, 1)]
        projected = nn.Sequential(*self._convolution(channels, width, 1, stride)) if channels != width else None
        return [Residual(*body, shortcut=projected), nn.ReLU()]

    def _convolution(self, channels: int, width: int, side: int, stride: int) -> list[nn.Module]:
        from trainables.training.convolution import Conv2d, GroupNorm
        from trainables.training.layers import BatchNorm2d

        norms = {"batch": [BatchNorm2d(width)], "group": [GroupNorm(1, width)], "none": []}[self.normalisation]
        return [Conv2d(channels, width, side, stride, padding=side // 2, bias=not norms), *norms]

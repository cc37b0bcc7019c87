"""A residual network for images of at least 8 x 8 pixels: ResNet-18 with ``{width: 64, stages: 4, blocks: 2}``.

Images of 96 pixels and more enter by a 7 x 7 convolution and max pooling, each of which halves them; smaller ones by a
3 x 3 convolution that keeps their size.
Source: He et al., 2016, arXiv:1512.03385, secs. 3.3, 4.1 and 4.2, with basic blocks and projection shortcuts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt

from trainables.api import PerMember, PositiveInt

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
    stochastic_depth: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an example passes by the last block in a training step. That of earlier blocks grows in
    proportion to their number (Huang et al., 2016, arXiv:1603.09382, eq. 4, which has 0.5 for 54 blocks)."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.convolution import AdaptiveAvgPool2d
        from trainables.training.layers import Linear, initialised

        if len(shape) != 3 or min(shape[1:]) < 8:
            expected = "images (channels, height, width) of at least 8 x 8 pixels"
            raise ValueError(f"model resnet: got inputs of shape {shape}, expected {expected}; `mlp` takes any shape")

        def layers() -> nn.Sequential:
            parts = [part for number in range(self.stages * self.blocks) for part in self._block(number)]
            head = [AdaptiveAvgPool2d(1), nn.Flatten(), Linear(self.width * 2 ** (self.stages - 1), num_classes)]
            return nn.Sequential(*self._stem(shape), *parts, *head)

        return initialised(layers, init)

    def _stem(self, shape: tuple[int, ...]) -> list[nn.Module]:
        from torch import nn

        from trainables.training.convolution import MaxPool2d

        if min(shape[1:]) < 96:
            return [*self._convolution(shape[0], self.width, 3, 1), nn.ReLU()]
        return [*self._convolution(shape[0], self.width, 7, 2), nn.ReLU(), MaxPool2d(3, 2, 1)]

    def _block(self, number: int) -> list[nn.Module]:
        """``number`` counts the blocks of all stages from 0."""
        from torch import nn

        from trainables.training.layers import Residual, StochasticDepth

        width = self.width * 2 ** (number // self.blocks)
        halves = number > 0 and number % self.blocks == 0
        channels, stride = (width // 2, 2) if halves else (width, 1)
        body = [*self._convolution(channels, width, 3, stride), nn.ReLU(), *self._convolution(width, width, 3, 1)]
        rate = self.stochastic_depth * (number + 1) / (self.stages * self.blocks)
        projected = nn.Sequential(*self._convolution(channels, width, 1, stride)) if channels != width else None
        return [Residual(*body, StochasticDepth(rate), shortcut=projected), nn.ReLU()]

    def _convolution(self, channels: int, width: int, side: int, stride: int) -> list[nn.Module]:
        from trainables.training.convolution import Conv2d, GroupNorm
        from trainables.training.layers import BatchNorm2d

        norms = {"batch": [BatchNorm2d(width)], "group": [GroupNorm(1, width)], "none": []}[self.normalisation]
        return [Conv2d(channels, width, side, stride, padding=side // 2, bias=not norms), *norms]

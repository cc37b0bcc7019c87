"""A small convolutional network for images of at least 8 x 8 pixels.

Blocks of 3 x 3 convolution, normalisation, 2 x 2 max pooling and ReLU, the first of ``width`` and the others of
``2 * width`` channels, which pool as long as 2 x 2 pixels are left; then an average down to 2 x 2, dropout, and a
linear layer.
Group normalisation (Wu and He, 2018, arXiv:1803.08494) because, unlike batch normalisation, it gives the same result
however many workers share a batch.
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
    width: PositiveInt = 16
    """Channels of the first convolution."""
    depth: PositiveInt = 2
    """Number of blocks."""
    normalisation: Literal["group", "batch", "none"] = "group"
    """``group``: over all values of an image. With several workers, ``batch`` is over each one's share."""
    dropout: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.0
    """Probability that an input of the last layer is zeroed in a training step."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.convolution import AdaptiveAvgPool2d
        from trainables.training.layers import Dropout, Linear, initialised

        if len(shape) != 3 or min(shape[1:]) < 8:
            expected = "images (channels, height, width) of at least 8 x 8 pixels"
            raise ValueError(f"model cnn: got inputs of shape {shape}, expected {expected}; `mlp` takes any shape")
        widths = [self.width] + [2 * self.width] * (self.depth - 1)

        def layers() -> nn.Sequential:
            pairs = enumerate(zip([shape[0], *widths], widths, strict=False))
            blocks = [self._block(*pair, pools=min(shape[1:]) >> number >= 4) for number, pair in pairs]
            head = [Dropout(self.dropout), Linear(4 * widths[-1], num_classes)]
            return nn.Sequential(
                *(part for block in blocks for part in block), AdaptiveAvgPool2d(2), nn.Flatten(), *head
            )

        return initialised(layers, init)

    def _block(self, channels: int, width: int, *, pools: bool) -> list[nn.Module]:
        from torch import nn

        from trainables.training.convolution import Conv2d, GroupNorm, MaxPool2d
        from trainables.training.layers import BatchNorm2d

        norms = {"group": [GroupNorm(1, width)], "batch": [BatchNorm2d(width)], "none": []}[self.normalisation]
        convolution = Conv2d(channels, width, 3, padding=1, bias=not norms)
        return [convolution, *norms, *([MaxPool2d(2)] if pools else []), nn.ReLU()]  # ReLU last has a quarter to do

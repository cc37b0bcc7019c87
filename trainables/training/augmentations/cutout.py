"""Cutout: a square of each image is set to zero, which is the mean of standardised images.

Source: DeVries and Taylor, 2017, arXiv:1708.04552, sec. 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import Fraction, PerMember
from trainables.training.augmentations import sides, square

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = False
    side: PerMember[Fraction] = 0.5
    """Of the square, as a fraction of the image's. Its middle is anywhere in the image; the rest is cut off."""

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:
        sides("cutout", inputs)
        return inputs * (1 - square(draw, self.side, inputs)), targets

"""Shifts each image by whole pixels, fills with zeros, and mirrors some: "random crop and flip".

Source: He et al., 2016, arXiv:1512.03385, sec. 4.2, where shifts are up to 4 of 32 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import Fraction, PerMember
from trainables.training.augmentations import sides

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = False
    shift: PerMember[Fraction] = 0.125
    """Longest shift to each side, as a fraction of the image's, to the nearest pixel. All shifts are as likely."""
    flip: PerMember[Fraction] = 0.5
    """Probability that an image is mirrored from left to right. 0 for digits and letters."""

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:
        import torch

        height, width = sides("shift_and_flip", inputs)
        first = inputs[:, 0, 0, 0]
        mirrored = (draw.uniform(first) < self.flip)[:, None, None, None]
        moved = torch.where(mirrored, inputs.flip(3), inputs)
        for axis, length in ((2, height), (3, width)):
            moved = _moved(moved, axis, _shifts(draw.uniform(first), self.shift, length))
        return moved, targets


def _shifts(unit: Tensor, most: float | Tensor, length: int) -> Tensor:
    """Whole numbers from minus to plus the longest shift, of numbers in [0, 1)."""
    import torch

    longest = torch.as_tensor(most * length, dtype=unit.dtype, device=unit.device).round()
    return (unit * (2 * longest + 1)).floor().minimum(2 * longest) - longest


def _moved(images: Tensor, axis: int, shifts: Tensor) -> Tensor:
    """Each image moved along one of its axes."""
    import torch

    length = images.shape[axis]
    places = torch.arange(length, device=images.device) + shifts.long()[:, None]
    shape = [len(images), 1, 1, 1]
    shape[axis] = length
    inside = ((places >= 0) & (places < length)).view(shape)
    return images.gather(axis, places.clamp(0, length - 1).view(shape).expand(images.shape)) * inside

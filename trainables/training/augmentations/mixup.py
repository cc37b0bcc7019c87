"""Mixup: each example is mixed with another one of its batch, and so are their targets.

Source: Zhang et al., 2018, arXiv:1710.09412, eq. 1. Differs: each example draws a share of its own, the source's code
one for the whole batch; several workers mix within their parts of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, PerMember
from trainables.training.augmentations import beta, blended

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = True
    alpha: PerMember[NonNegative] = 1.0
    """Of the beta distribution that shares are drawn from. Small: mostly one of the two; 0: no mixing."""

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:
        share, other = beta(draw, self.alpha, inputs.flatten(1)[:, 0]), draw.permutation(len(inputs))
        return blended(inputs, share, other), blended(targets, share, other)

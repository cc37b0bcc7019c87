"""Adaptive sharpness-aware minimisation: SAM in units of each weight, so that scaling layers does not change it.

Source: Kwon et al., 2021, arXiv:2102.11600, eq. 7, element by element and for all parameters; two gradients per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember

if TYPE_CHECKING:
    from trainables.training.optimizers import Row
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    radius: PerMember[NonNegative] = 0.5
    """Of the ball, over all parameters together, each in units of its own absolute value."""

    @property
    def moves(self) -> int:
        return 1

    def move(self, gradient: Row, at: Row, parameters: Row, layout: Layout) -> Row:  # noqa: ARG002
        from torch.nn.functional import normalize

        return parameters + self.radius * parameters.abs() * normalize(parameters.abs() * gradient, dim=-1)

"""Sharpness-aware minimisation: the gradient where the loss is about highest within a ball (two gradients per step).

Source: Foret et al., 2021, arXiv:2010.01412, eq. 2 and alg. 1, with p = 2.
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
    radius: PerMember[NonNegative] = 0.05
    """Of the ball, over all parameters together."""

    @property
    def moves(self) -> int:
        return 1

    def move(self, gradient: Row, at: Row, parameters: Row, layout: Layout) -> Row:  # noqa: ARG002
        from torch.nn.functional import normalize

        return parameters + self.radius * normalize(gradient, dim=-1)

"""Adversarial model perturbation: gradient ascent within a ball for each weight tensor, then the gradient there.

Source: Zheng, Zhang and Mao, 2021, arXiv:2010.04925, alg. 1; balls per tensor as in the authors' code. A step takes
``moves + 1`` gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember, Positive, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.optimizers import Row
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    radius: PerMember[NonNegative] = 0.5
    """Of the ball of each tensor."""
    rate: PerMember[Positive] = 1.0
    """Learning rate of the ascent."""
    moves: PositiveInt = 1
    """Steps of the ascent."""

    def move(self, gradient: Row, at: Row, parameters: Row, layout: Layout) -> Row:
        parts = layout.split(at - parameters + self.rate * gradient).values()
        return parameters + layout.join([_within(part, self.radius) for part in parts])


def _within(part: Tensor, radius: float) -> Tensor:
    """Shortened to the radius if it is longer."""
    import torch

    norm = part.square().sum().sqrt()
    return part * (radius / norm.clamp(min=torch.finfo(part.dtype).tiny)).clamp(max=1)

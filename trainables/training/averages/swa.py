"""Stochastic weight averaging: the mean of the weights over the last part of the run.

Source: Izmailov et al., 2018, arXiv:1803.05407, alg. 1. Differs: it takes the weights of every step, not of every
epoch; the learning rate is that of the schedule, which should not end at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import Fraction, PerMember

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.optimizers import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    start: PerMember[Fraction] = 0.75
    """Fraction of all steps after which the mean begins. Until then it is the weights of the last step."""

    def update(self, average: Row, parameters: Row, step: Tensor, total: int) -> Row:
        count = (step.double() + 1 - self.start * total).floor().clamp(min=1)
        return average + (parameters - average) / count

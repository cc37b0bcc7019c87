"""Exponential moving average of the weights, as old as the run is young.

Source: Polyak and Juditsky, 1992, for averages; the decay that grows from 0.1 is that of TensorFlow's
``ExponentialMovingAverage``, and keeps the initial weights out of short runs.
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
    decay: PerMember[Fraction] = 0.99
    """Of the average in late steps; in step ``t`` it is at most ``(1 + t) / (10 + t)``."""

    def update(self, average: Row, parameters: Row, step: Tensor, total: int) -> Row:  # noqa: ARG002
        young = (1 + step.double()) / (10 + step.double())
        return average + (1 - young.clamp(max=self.decay)) * (parameters - average)

"""Half a cosine from the peak to the end, after an optional linear rise.

Source: Loshchilov and Hutter, 2017, arXiv:1608.03983, eq. 5, without restarts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainables.api import Fraction
from trainables.training.schedules.warmup import rise, warmup_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    warmup_fraction: Fraction = 0.0
    """Fraction of all steps in which the learning rate rises in a line."""
    final_fraction: Fraction = 0.0
    """The learning rate that the cosine ends at, as a fraction of the peak."""

    def factor(self, step: int, total: int) -> float:
        warmup = warmup_steps(self.warmup_fraction, total)
        if step < warmup:
            return rise(step, warmup)
        angle = math.pi * (step - warmup) / max(1, total - warmup)
        return self.final_fraction + (1 - self.final_fraction) * (1 + math.cos(angle)) / 2

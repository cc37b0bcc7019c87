"""A linear rise over the first steps, then constant."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.api import Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    warmup_fraction: Fraction = 0.1
    """Fraction of all steps in which the learning rate rises."""

    def factor(self, step: int, total: int) -> float:
        return min(1.0, rise(step, warmup_steps(self.warmup_fraction, total)))


def warmup_steps(fraction: float, total: int) -> int:
    """How many steps are below the peak."""
    return round(fraction * total)


def rise(step: int, num_steps: int) -> float:
    """A line that is 1 / (num_steps + 1) at step 0, so that no step is lost, and 1 at step ``num_steps``."""
    return (step + 1) / (num_steps + 1)

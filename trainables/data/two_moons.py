"""Two interleaved half circles in the plane, with Gaussian noise.

The outer one is (cos t, sin t), the inner one (1 - cos t, 1/2 - sin t), for t evenly spaced in [0, pi]: the form of
``make_moons`` of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import NonNegative, NonNegativeInt
from trainables.data import Examples
from trainables.seeding import stream_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    num_examples: Annotated[int, Ge(2)] = 1000
    """Of both moons together."""
    noise: NonNegative = 0.2
    """Standard deviation, in the unit of the circles' radius."""
    seed: NonNegativeInt = 0
    """Of the noise. It does not depend on the seed of the trial: every trial gets the same points."""

    def load(self) -> Examples:
        import numpy as np

        labels = np.arange(self.num_examples) % 2
        angle = np.empty(self.num_examples)
        for moon in (0, 1):
            angle[labels == moon] = np.linspace(0, np.pi, np.count_nonzero(labels == moon))
        outer = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.where(labels[:, None] == 0, outer, [1, 0.5] - outer)
        rng = np.random.default_rng(stream_seed(self.seed, "two_moons"))
        points += self.noise * rng.standard_normal(points.shape)
        return Examples(points.astype("float32"), labels, ("outer", "inner"))

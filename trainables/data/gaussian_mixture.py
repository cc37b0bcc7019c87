"""Isotropic Gaussian clouds, one for each class, whose centres lie on a sphere around the origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import NonNegative, NonNegativeInt, PositiveInt
from trainables.data import Examples
from trainables.seeding import stream_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    num_examples: Annotated[int, Ge(2)] = 1000
    """Of all classes together, shared out evenly."""
    num_classes: Annotated[int, Ge(2)] = 4
    dimensions: PositiveInt = 8
    separation: NonNegative = 3.0
    """Distance of each centre from the origin; the directions are drawn evenly."""
    noise: NonNegative = 1.0
    """Standard deviation of a cloud along each axis."""
    seed: NonNegativeInt = 0
    """Of centres and clouds. It does not depend on the seed of the trial: every trial gets the same points."""

    def load(self) -> Examples:
        import numpy as np

        rng = np.random.default_rng(stream_seed(self.seed, "gaussian_mixture"))
        centres = rng.standard_normal((self.num_classes, self.dimensions))
        centres *= self.separation / np.linalg.norm(centres, axis=1, keepdims=True)
        labels = np.arange(self.num_examples) % self.num_classes
        points = centres[labels] + self.noise * rng.standard_normal((self.num_examples, self.dimensions))
        return Examples(points.astype("float32"), labels, tuple(str(c) for c in range(self.num_classes)))

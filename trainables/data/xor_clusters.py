"""Four Gaussian clouds at the ends of a cross: opposite ones are of one class, so that no linear classifier tells them.

Clouds of deviation 1 lie at distance ``separation * dimensions^(1/4)`` from the origin, along two axes; the direction
of the axes does not matter to a network whose weights are drawn evenly. Inputs are then divided by
``sqrt(dimensions)``, so that a learning rate means the same in any dimension.
Source: Xu et al., 2023, arXiv:2310.02541, sec. 2.
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
    num_examples: Annotated[int, Ge(4)] = 2000
    """Of both classes together, shared out evenly over the clouds."""
    dimensions: Annotated[int, Ge(2)] = 100
    separation: NonNegative = 2.0
    """Distance of each cloud from the origin, over the fourth root of ``dimensions``."""
    seed: NonNegativeInt = 0
    """Of the clouds. It does not depend on the seed of the trial: every trial gets the same points."""

    def load(self) -> Examples:
        import numpy as np

        rng = np.random.default_rng(stream_seed(self.seed, "xor_clusters"))
        points = rng.standard_normal((self.num_examples, self.dimensions), dtype=np.float32)
        cloud = np.arange(self.num_examples) % 4
        labels, sign = cloud % 2, 1 - 2 * (cloud // 2)
        points[np.arange(self.num_examples), labels] += sign * np.float32(self.separation * self.dimensions**0.25)
        points /= np.float32(self.dimensions**0.5)
        return Examples(points, labels.astype("int64"), ("along the first axis", "along the second axis"))

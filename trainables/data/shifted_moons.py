"""Two half circles that a line along the second coordinate also tells apart, once they are shifted by a margin.

The first coordinate is then the harder one. In the test part it is shuffled among all examples: a classifier that still
is right there does not use it.
Source: Pezeshki et al., 2021, arXiv:2011.09468, fig. 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import NonNegative, NonNegativeInt
from trainables.data import Examples, two_moons
from trainables.seeding import stream_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    num_examples: Annotated[int, Ge(4)] = 1500
    """Apart from the test part."""
    num_test: Annotated[int, Ge(2)] = 1000
    margin: float = 0.0
    """Gap between the half circles along the second coordinate, before noise; below 0 they overlap."""
    noise: NonNegative = 0.1
    """Standard deviation, in the unit of the circles' radius."""
    seed: NonNegativeInt = 0
    """Of noise and shuffling. It does not depend on the seed of the trial: every trial gets the same points."""

    def load(self) -> Examples:
        import numpy as np

        total = self.num_examples + self.num_test
        moons = two_moons.Config(num_examples=total, noise=self.noise, seed=self.seed).load()
        rng = np.random.default_rng(stream_seed(self.seed, "shifted_moons"))
        order = rng.permutation(total)
        points, labels = moons.inputs[order], moons.labels[order]
        points[labels == 0, 1] += np.float32(
            self.margin + 0.5
        )  # the inner one reaches up to 1/2, the outer begins at 0
        test = np.arange(self.num_examples, total)
        points[test, 0] = rng.permutation(points[test, 0])
        return Examples(points, labels, moons.classes, {"test": test})

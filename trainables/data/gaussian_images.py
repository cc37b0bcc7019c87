"""Images of standard normal noise, whose labels say nothing about them.

Mean 0 and deviation 1, so not in [0, 1] as photographs are. The classes are equally large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import NonNegativeInt, PositiveInt
from trainables.data import Examples
from trainables.seeding import stream_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    num_examples: Annotated[int, Ge(2)] = 2000
    """Of all classes together, shared out evenly."""
    num_classes: Annotated[int, Ge(2)] = 10
    channels: PositiveInt = 1
    side: PositiveInt = 8
    """Height and width in pixels."""
    seed: NonNegativeInt = 0
    """Of the noise. It does not depend on the seed of the trial: every trial gets the same images."""

    def load(self) -> Examples:
        import numpy as np

        rng = np.random.default_rng(stream_seed(self.seed, "gaussian_images"))
        shape = (self.num_examples, self.channels, self.side, self.side)
        labels = np.arange(self.num_examples) % self.num_classes
        images = rng.standard_normal(shape, dtype=np.float32)
        return Examples(images, labels, tuple(str(c) for c in range(self.num_classes)))

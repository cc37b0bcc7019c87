"""Normal inputs labelled by a linear teacher, and a few outliers with one large feature and labels that contradict.

The first input is ``magnitude`` for outliers, half of which are of each class, and 0 for all others, which the teacher
labels by the sign of a weighted sum of the other inputs.
Source: the phenomenon of Rosenfeld and Risteski, 2023, arXiv:2311.04163, in its simplest form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import Fraction, NonNegativeInt, Positive
from trainables.data import Examples
from trainables.seeding import stream_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    num_examples: Annotated[int, Ge(4)] = 2000
    dimensions: Annotated[int, Ge(2)] = 50
    """Inputs, with the first one."""
    outliers: Fraction = 0.04
    """Share of the examples that are outliers."""
    magnitude: Positive = 30.0
    """Their first input; all other inputs have deviation 1."""
    seed: NonNegativeInt = 0
    """Of inputs and teacher. It does not depend on the seed of the trial: every trial gets the same examples."""

    def load(self) -> Examples:
        import numpy as np

        rng = np.random.default_rng(stream_seed(self.seed, "opposing_signals"))
        inputs = rng.standard_normal((self.num_examples, self.dimensions), dtype=np.float32)
        labels = (inputs[:, 1:] @ rng.standard_normal(self.dimensions - 1, dtype=np.float32) > 0).astype("int64")
        rows = rng.permutation(self.num_examples)[: round(self.outliers * self.num_examples)]
        inputs[:, 0] = 0
        inputs[rows, 0] = self.magnitude
        labels[rows] = np.arange(len(rows)) % 2
        return Examples(inputs, labels, ("below", "above"))

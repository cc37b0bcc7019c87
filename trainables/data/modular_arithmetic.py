"""All pairs of numbers below a modulus, labelled with the result of an operation on them.

Inputs are the two numbers as tokens: use a model with ``vocabulary: <modulus>``, and ``split.standardise: false``.
Source: Power et al., 2022, arXiv:2201.02177, sec. A.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    modulus: Annotated[int, Ge(2)] = 31
    """There are its square of examples, and as many classes."""
    operation: Literal["add", "subtract", "multiply", "sum of squares"] = "add"
    """Modulo ``modulus``."""

    def __post_init__(self) -> None:
        if self.operation == "sum of squares" and self.modulus % 2 == 0:
            raise ValueError("data modular_arithmetic: sum of squares needs an odd modulus, or labels are missing")

    def load(self) -> Examples:
        import numpy as np

        a, b = (grid.ravel() for grid in np.indices((self.modulus, self.modulus)))
        results = {"add": a + b, "subtract": a - b, "multiply": a * b, "sum of squares": a**2 + b**2}
        labels = (results[self.operation] % self.modulus).astype("int64")
        inputs = np.stack([a, b], axis=1).astype("float32")
        return Examples(inputs, labels, tuple(str(result) for result in range(self.modulus)))

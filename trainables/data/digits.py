"""Handwritten digits: 1797 grey images of 8 x 8 pixels, 10 classes.

Source: Alpaydin and Kaynak, 1998, UCI "Optical Recognition of Handwritten Digits" (its test part), as bundled with
scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def load(self) -> Examples:
        import numpy as np

        table = np.loadtxt(_file(), delimiter=",", dtype="float32")
        pixels = table[:, :-1].reshape(-1, 1, 8, 8) / np.float32(16)
        return Examples(pixels, table[:, -1].astype("int64"), tuple("0123456789"))


def _file() -> Path:
    """In the package, which is not imported: that would take a second of each process, as long as it takes to train."""
    origin = getattr(find_spec("sklearn"), "origin", None)
    assert origin, "scikit-learn is installed with this project"
    return Path(origin).parent / "datasets" / "data" / "digits.csv.gz"

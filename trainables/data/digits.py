"""Handwritten digits: 1797 grey images of 8 x 8 pixels, 10 classes.

Source: Alpaydin and Kaynak, 1998, UCI "Optical Recognition of Handwritten Digits" (its test part), as bundled with
scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def load(self) -> Examples:
        import numpy as np
        from sklearn.datasets import load_digits

        images, labels = map(np.asarray, load_digits(return_X_y=True))
        pixels = images.reshape(-1, 1, 8, 8) / np.float32(16)
        return Examples(pixels.astype("float32"), labels.astype("int64"), tuple("0123456789"))

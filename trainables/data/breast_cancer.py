"""Breast masses, malignant or benign: 569 examples, 30 features of cell nuclei.

Source: Wolberg et al., 1995, UCI "Breast Cancer Wisconsin (Diagnostic)", as bundled with scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def load(self) -> Examples:
        import numpy as np
        from sklearn.datasets import load_breast_cancer

        features, labels = map(np.asarray, load_breast_cancer(return_X_y=True))
        return Examples(features.astype("float32"), labels.astype("int64"), ("malignant", "benign"))

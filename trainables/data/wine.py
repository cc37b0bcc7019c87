"""Chemical analysis of wines: 178 examples, 13 features, 3 cultivars.

Source: Aeberhard and Forina, 1992, UCI "Wine", as bundled with scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def load(self) -> Examples:
        import numpy as np
        from sklearn.datasets import load_wine

        features, labels = map(np.asarray, load_wine(return_X_y=True))
        return Examples(features.astype("float32"), labels.astype("int64"), ("cultivar 1", "cultivar 2", "cultivar 3"))

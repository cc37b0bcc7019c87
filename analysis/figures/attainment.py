"""What a front attains over its seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd


def attainment(points: pd.DataFrame, maximize: tuple[bool, bool]) -> pd.DataFrame:
    """For each x, the y that a quarter, half and three quarters of the seeds attain with an x at least as good.

    Sources: Fonseca and Fleming, 1996, PPSN IV, 584-593 (the attainment surface); Lopez-Ibanez et al., 2010 (its
    quantiles as a band).

    Args:
        points: seed, x, y.
        maximize: whether x and y are better high.

    Returns:
        x, low (three quarters attain it), middle, high (a quarter attains it), in the order of x. NaN where too few
        seeds attain anything.
    """
    sign_x, sign_y = (1.0 if high else -1.0 for high in maximize)
    x = np.unique(points["x"].to_numpy(dtype=float))
    best = np.full((len(set(points["seed"])), len(x)), -np.inf)
    for row, (_, mine) in enumerate(points.groupby("seed")):
        as_good = sign_x * mine["x"].to_numpy()[:, None] >= sign_x * x
        best[row] = np.where(as_good, sign_y * mine["y"].to_numpy()[:, None], -np.inf).max(axis=0)
    ordered = np.sort(best, axis=0)[::-1]  # the best seed first
    parts = {name: ordered[int(np.ceil(share * len(best))) - 1] for name, share in _SHARES.items()}
    return pd.DataFrame({"x": x} | {name: np.where(np.isinf(y), np.nan, sign_y * y) for name, y in parts.items()})


_SHARES = {"low": 0.75, "middle": 0.5, "high": 0.25}

"""Curves along a numeric factor: the better of a power law and a saturating one, by its error at unseen levels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import trends
from analysis.trends import Fit
from analysis.wording import estimate, plain

_LEVELS, _SEEDS = 4, 3  # that a curve takes at least: two parameters, and a level left out
_PLACES = 100
_FORMS = {"power": "a power law", "saturating": "a saturating curve"}


def fitted(frame: pd.DataFrame) -> dict[str, tuple[Fit, np.ndarray]]:
    """Series -> its fit and the levels that it is drawn over. ``frame``: series, x, seed, value."""
    found: dict[str, tuple[Fit, np.ndarray]] = {}
    for series, rows in frame.groupby("series", sort=False):
        table = rows.pivot(index="seed", columns="x", values="value").dropna()
        x = table.columns.to_numpy(dtype=float)
        if len(x) >= _LEVELS and len(table) >= _SEEDS and x.min() > 0 and table.mean().min() > 0:
            fits = [trends.fit(curve, x, table.to_numpy(dtype=float)) for curve in ("power", "saturating")]
            found[str(series)] = (min(fits, key=lambda fit: fit.held_out), x)
    return found


def drawn(fits: dict[str, tuple[Fit, np.ndarray]]) -> pd.DataFrame:
    """Series, x and y along each curve."""
    parts = [pd.DataFrame({"series": [], "x": [], "y": []})]
    for series, (fit, levels) in fits.items():
        x = np.geomspace(levels.min(), levels.max(), _PLACES)
        parts.append(pd.DataFrame({"series": series, "x": x, "y": fit(x)}))
    return pd.concat(parts, ignore_index=True)


def sentence(series: str, fit: Fit) -> str:
    """What was fitted, its parameters with 95 % intervals, and how far off it is where it was not fitted."""
    values = [f"{name} {estimate(p.value, *p.interval())}" for name, p in fit.parameters.items()]
    of = f" of {plain(series, 60)}" if series else ""
    return f"Dotted{of}: {_FORMS[fit.curve]}, {', '.join(values)}; error at a level left out {fit.held_out:.2g}."

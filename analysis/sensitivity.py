"""How exact a parameter has to be: a parabola through the tuned points around its optimum, on its logarithmic scale.

With u = log10 of the parameter, the loss near its optimum is about a + c (u - u0)^2. If it may rise by one standard
deviation s of the noise between seeds, u may be off by sqrt(s / c), and the parameter by the factor 10^sqrt(s / c).
The parabola is fitted by least squares to the half of the points, 8 at least, that lie nearest to the best one in u.
The other parameters vary there as the search varied them, and count as noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.frames import Run
from analysis.replicates import Objective, objectives
from analysis.tuned import noises, ranges, tuned
from analysis.wording import number, plain

FEWEST = 8  # points of a fit
_COLUMNS = {
    "objective": object, "cell": object, "parameter": object, "optimum": float, "curvature": float,
    "curvature_low": float, "curvature_high": float, "noise": float, "factor": float, "factor_low": float,
    "factor_high": float, "points": int, "note": object,
}  # fmt: skip


@dataclass(frozen=True)
class Parabola:
    """``a + curvature * (u - optimum)**2``; the curvature is NaN where no parabola fits."""

    optimum: float = math.nan
    curvature: float = math.nan
    low: float = math.nan
    high: float = math.nan
    ends: tuple[float, float] = (math.nan, math.nan)  # of the points that it was fitted to


def sensitivity(run: Run) -> pd.DataFrame:
    """How far each logarithmic parameter may be off in each cell.

    Columns:
        objective, cell, parameter.
        optimum: the value of the parameter where the parabola is best; NaN unless it lies among the points.
        curvature, curvature_low, curvature_high: by how much the objective worsens one decade off the optimum, with
            its 95 % interval; in the units of the objective, positive if there is an optimum.
        noise: standard deviation of the objective between seeds.
        factor, factor_low, factor_high: by which the parameter may be off before the objective worsens by one
            ``noise``; the upper end is infinite where the curvature may be zero.
        points: that were fitted.
        note: why there is no factor.
    """
    rows = [row for objective in objectives(run.lock) for row in _of_objective(run, objective)]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _of_objective(run: Run, objective: Objective) -> Iterator[tuple[Any, ...]]:
    found, noise = tuned(run, objective), noises(run, objective.metric)
    found = found.loc[found["state"] == "done"]
    logs = [name for name, space in ranges(run).items() if space.get("log")]
    for cell, rows in found.groupby("cell", sort=False):
        for name in logs:
            there = [
                (params[name], y) for params, y in zip(rows["params"], rows["value"], strict=True) if name in params
            ]
            if there:
                x, y = (np.array(column, dtype=float) for column in zip(*there, strict=True))
                sd = noise[str(cell)].sd if str(cell) in noise else math.nan
                yield objective.metric, str(cell), name, *_row(np.log10(x), -y if objective.maximize else y, sd)


def _row(u: np.ndarray, loss: np.ndarray, noise: float) -> tuple[Any, ...]:
    """The columns from ``optimum`` on."""
    near = nearest(u, loss)
    if len(np.unique(u[near])) < 3 or len(near) < FEWEST:
        return *(math.nan,) * 4, noise, *(math.nan,) * 3, len(near), f"{len(near)} points; it takes {FEWEST}"
    bowl = parabola(u[near], loss[near])
    curvature = (bowl.curvature, bowl.low, bowl.high)
    note = _note(bowl, noise)
    inside = bowl.curvature > 0 and bowl.ends[0] <= bowl.optimum <= bowl.ends[1]
    optimum = 10**bowl.optimum if inside else math.nan
    factors = (math.nan,) * 3 if note else (factor(noise, c) for c in (bowl.curvature, bowl.high, bowl.low))
    return optimum, *curvature, noise, *factors, len(near), note


def _note(bowl: Parabola, noise: float) -> str:
    if math.isnan(noise):
        return "no two confirm seeds to tell the noise from"
    if noise == 0:
        return "the confirm seeds do not differ"
    if not bowl.curvature > 0:
        return "no optimum: flat, or best at an end"
    low, high = bowl.ends
    return "" if low <= bowl.optimum <= high else f"the optimum lies {'below' if bowl.optimum < low else 'above'}"


def factor(noise: float, curvature: float) -> float:
    """By which a parameter may be off until the loss has risen by ``noise``."""
    return 10 ** min(math.sqrt(noise / curvature), 300.0) if curvature > 0 else math.inf


def nearest(u: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """The half of the points, 8 at least, that lie nearest to the best one."""
    distance = np.abs(u - u[np.argmin(loss)])
    return np.argsort(distance, kind="stable")[: max(FEWEST, len(u) // 2)]


def parabola(u: np.ndarray, loss: np.ndarray) -> Parabola:
    """Least squares, with the interval of the curvature by Student's t."""
    centre = u.mean()
    design = np.vander(u - centre, 3, increasing=True)
    (_, slope, curve), *_ = np.linalg.lstsq(design, loss)
    rest = loss - design @ np.linalg.lstsq(design, loss)[0]
    freedom = len(u) - 3
    variance = float(rest @ rest) / freedom * np.linalg.pinv(design.T @ design)[2, 2]
    reach = stats.quantile(stats.LEVEL, freedom) * math.sqrt(variance)
    optimum = centre - slope / (2 * curve) if curve else math.nan
    ends = (float(u.min()), float(u.max()))
    return Parabola(float(optimum), float(curve), float(curve - reach), float(curve + reach), ends)


def sentences(run: Run) -> list[str]:
    """One for each logarithmic parameter that has an optimum, beyond the noise, in some cell."""
    known = sensitivity(run)
    known = known.loc[np.isfinite(known["factor_high"])]
    groups = dict(list(known.groupby(["objective", "parameter"], sort=False)))
    return [_sentence(plain(metric), plain(name, 60), rows) for (metric, name), rows in groups.items()]


def _sentence(metric: str, name: str, rows: pd.DataFrame) -> str:
    factors = rows["factor"].tolist()
    if len(factors) == 1:
        low, high = (_factor(rows[end].iloc[0]) for end in ("factor_low", "factor_high"))
        text = f"{_factor(factors[0])} [{low}, {high}]"
    else:
        low, high = _factor(min(factors)), _factor(max(factors))
        text = f"{_factor(median(factors))} (median of {len(factors)} cells; {low} to {high})"
    return f"{name} may be off by a factor of {text} before {metric} worsens by one standard deviation between seeds."


def _factor(value: float) -> str:
    return "more than 1000" if value > 1000 else number(value, 2)

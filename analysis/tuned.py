"""What the search found: its points with their objective, and the noise between seeds that it is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import Run
from analysis.replicates import Objective, replicates, values

_OWN_SEEDS = 5  # from here on a cell's noise is its own; with fewer seeds it is pooled over the cells
_BAD = ("failed", "diverged", "pruned")
_OPEN = "open"


@dataclass(frozen=True)
class Noise:
    """The standard deviation of an objective between seeds; NaN if nothing was repeated."""

    sd: float
    freedom: int


def tuned(run: Run, objective: Objective) -> pd.DataFrame:
    """One row per cell and point that came to an end, in the order of the search.

    Columns:
        cell, point, params (dict).
        state: done, diverged (also: a value that is not finite), pruned or failed, by the worst of its seeds.
        value: the objective, the mean over the tune seeds; NaN unless done.
        seeds: the value of each tune seed, in the order of the seeds (tuple).
        feasible: whether it keeps the bounds on reported metrics.
    """
    trials = run.trials.loc[run.trials["phase"] == "tune"].drop_duplicates(["cell", "point", "seed"], keep="last")
    known = values(run, objective.metric)
    y = np.array([known.get(trial, math.nan) for trial in trials["trial"]], dtype=float)
    y = np.where((trials["outcome"] == "done") & np.isfinite(y), y, math.nan)
    lost = np.isnan(y) & (trials["outcome"] == "done").to_numpy(dtype=bool)
    state = np.where(lost, "diverged", trials["outcome"].to_numpy(dtype=object))
    rows = trials[["cell", "point", "params"]].assign(state=state, y=y, feasible=_feasible(run, trials))
    of_point: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for cell, point, *more in rows.iloc[np.argsort(trials["seed"], kind="stable")].itertuples(index=False, name=None):
        of_point.setdefault((cell, point), []).append(tuple(more))
    order = dict.fromkeys(zip(rows["cell"], rows["point"], strict=True))
    found = [(*key, *_summed(of_point[key])) for key in order]
    points = pd.DataFrame(found, columns=["cell", "point", "params", "state", "seeds", "feasible"])
    points = points.assign(value=[sum(seeds) / len(seeds) for seeds in points["seeds"]])
    return points.loc[points["state"] != _OPEN].reset_index(drop=True)


def _summed(trials: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    params, states, seeds, feasible = zip(*trials, strict=True)
    return params[0], _worst(set(states)), seeds, all(feasible)


def _worst(states: set[str]) -> str:
    if states - {"done", *_BAD}:
        return _OPEN
    return next((state for state in _BAD if state in states), "done")


def _feasible(run: Run, trials: pd.DataFrame) -> np.ndarray:
    """By each trial on its own; a metric that was not reported bounds nothing."""
    kept = np.ones(len(trials), dtype=bool)
    for name, bound in (run.lock.get("constraints") or {}).items():
        if name in (run.lock.get("nuisance") or {}) or not isinstance(bound, Mapping):
            continue
        known = values(run, name)
        x = np.array([known.get(trial, math.nan) for trial in trials["trial"]])
        kept &= ~(x > bound.get("at_most", math.inf)) & ~(x < bound.get("at_least", -math.inf))
    return kept


def noises(run: Run, metric: str) -> dict[str, Noise]:
    """The noise of every cell, from the confirm seeds of its winners; pooled over the cells where these are few."""
    known, done = values(run, metric), replicates(run)
    spread: dict[str, list[tuple[float, int]]] = {str(cell): [] for cell in run.cells.index}
    for _, rows in done.groupby(["cell", "point"], sort=False):
        cell, trials = rows["cell"].iloc[0], rows["trial"]
        y = np.array([known.get(trial, math.nan) for trial in trials])
        y = y[np.isfinite(y)]
        if len(y) > 1:
            spread.setdefault(str(cell), []).append((float(((y - y.mean()) ** 2).sum()), len(y) - 1))
    pooled = _noise([one for of_cell in spread.values() for one in of_cell])
    own = {cell: _noise(of_cell) for cell, of_cell in spread.items()}
    return {cell: noise if noise.freedom + 1 >= _OWN_SEEDS else pooled for cell, noise in own.items()}


def _noise(squares: list[tuple[float, int]]) -> Noise:
    freedom = sum(count for _, count in squares)
    return Noise(math.sqrt(sum(square for square, _ in squares) / freedom) if freedom else math.nan, freedom)


def ranges(run: Run) -> dict[str, Mapping[str, Any]]:
    """The search spaces that leave a choice."""
    spaces = {k: v for k, v in (run.lock.get("nuisance") or {}).items() if isinstance(v, Mapping)}
    return {name: space for name, space in spaces.items() if _free(space)}


def _free(space: Mapping[str, Any]) -> bool:
    return len(space["choices"]) > 1 if "choices" in space else space.get("low") != space.get("high")

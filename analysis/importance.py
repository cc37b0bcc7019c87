"""Which hyperparameters mattered: fANOVA and PED-ANOVA, by Optuna, from the tuned points.

* fANOVA (Hutter et al., 2014, ICML): the share of the variance of the objective over the whole space that a parameter
  explains alone. What is missing to 1 are interactions and noise.
* PED-ANOVA (Watanabe et al., 2023, IJCAI): how much the best points differ in a parameter from all that were tried;
  the shares of the parameters sum to 1.

Both see logarithmic parameters on their logarithmic scale. Values far on the bad side are drawn in to the outer fence
of Tukey (1977), so that one exploded loss does not explain everything; points that diverged lie on that fence. Pruned
points have no objective: PED-ANOVA counts them among the worst, fANOVA leaves them out. A parameter that exists in
some points only is weighed among these by fANOVA, and by PED-ANOVA as in Conditional PED-ANOVA (arXiv:2601.20800).

The intervals are those of the delete-half jackknife (Shao & Wu, 1989, Ann. Stat. 17, 1176-1197): the spread over
random halves of the points estimates the standard error over all of them, and has no point twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.anova import FEWEST, Points, Shares, points_of, pooled, shares, space_of
from analysis.edges import Edge, edges
from analysis.frames import Run
from analysis.once import once
from analysis.replicates import Objective, objectives
from analysis.sensitivity import sensitivity
from analysis.sensitivity import sentences as of_sensitivity
from analysis.tuned import ranges, tuned
from analysis.wording import plain

__all__ = ["POOLED", "Edge", "edges", "importance", "sensitivity", "sentences"]

POOLED = "*"  # where the name of a cell stands; no cell can be called so
_MOST = 200  # points that are looked at; a random choice of them where there are more
_MOST_CELLS = 12  # that are looked at one by one
_FITS = 60  # of resampled or shuffled points, over all cells together
_TREES, _FEW_TREES = 32, 8
_COLUMNS = ["objective", "cell", "parameter", "method", "value", "low", "high", "chance", "points", "note"]

_Row = tuple[Any, ...]


def importance(run: Run) -> pd.DataFrame:
    """How much each nuisance parameter mattered. Sweeps of more than 12 cells are looked at as a whole only.

    Columns:
        objective: metric.
        cell: or ``*`` for all cells together, each standardised within itself.
        parameter, method (fanova, ped-anova).
        value: a share between 0 and 1; NaN if it cannot be said, and then ``note`` says why.
        low, high: 95 % interval, between 0 and 1.
        chance: what the value would be on average if the objective had nothing to do with the parameters.
        points: that the value rests on.
        note: why there is no value, or that the points are a sample.
    """
    return _importance(run).copy()


@once
def _importance(run: Run) -> pd.DataFrame:
    rows = [row for objective in objectives(run.lock) for row in _of_objective(run, objective)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _of_objective(run: Run, objective: Objective) -> Iterator[_Row]:
    found, free = tuned(run, objective), ranges(run)
    found = found.loc[found["state"].isin(["done", "diverged", "pruned"])]
    space = space_of(free, found)
    if not space:
        return
    groups = found.groupby("cell", sort=False)
    cells = {str(cell): points_of(rows, objective, free, space) for cell, rows in groups}
    alone = cells if len(cells) <= _MOST_CELLS else {}
    fits = max(8, min(30, _FITS // (len(alone) + 1)))
    if len(cells) == 1:
        (cell, points), *_ = cells.items()
        rows = list(_of_cell(points, fits))
        yield from ((objective.metric, name, *row) for name in (POOLED, cell) for row in rows)
        return
    for cell, points in {POOLED: pooled(list(cells.values())), **alone}.items():
        yield from ((objective.metric, cell, *row) for row in _of_cell(points, fits))


def _of_cell(points: Points, fits: int) -> Iterator[_Row]:
    random = np.random.default_rng(0)
    sample = f"a random {_MOST} of {len(points.loss):,} points" if len(points.loss) > _MOST else ""
    points = points[np.sort(random.permutation(len(points.loss))[:_MOST])]
    there = [name for name in points.space if points.having(name).any()]
    for method in ("fanova", "ped-anova"):
        used = points if method == "ped-anova" else points[points.known]
        many = {name: int(used.having(name).sum()) for name in there}
        found = _estimates(method, used, [name for name in there if many[name] >= FEWEST], fits, random)
        for name in there:
            known = found.get(name, (math.nan,) * 4)
            yield name, method, *known, many[name], sample if name in found else _why(many[name])


def _why(points: int) -> str:
    return "the points do not differ in their value" if points >= FEWEST else f"{points} points; it takes {FEWEST}"


def _estimates(
    method: str, points: Points, names: list[str], fits: int, random: np.random.Generator
) -> dict[str, tuple[float, float, float, float]]:
    """Value, interval and chance level of the parameters that can be weighed."""
    whole = shares(method, points, names, _TREES)
    if not whole:
        return {}
    shuffles, halves = fits // 4, fits - fits // 4
    drawn = [shares(method, points[_half(points, random)], names, _FEW_TREES) for _ in range(halves)]
    mixed = [replace(points, loss=random.permutation(points.loss)) for _ in range(shuffles)]
    chance = [shares(method, one, names, _FEW_TREES) for one in mixed]
    return {
        name: (value, *_interval(value, _of(drawn, name)), float(np.mean(_of(chance, name))))
        for name, value in whole.items()
    }


def _of(drawn: list[Shares], name: str) -> np.ndarray:
    there = [found[name] for found in drawn if name in found]
    return np.array(there or [math.nan])


def _interval(value: float, halves: np.ndarray) -> tuple[float, float]:
    if len(halves) < 2:
        return math.nan, math.nan
    reach = stats.quantile(stats.LEVEL, len(halves) - 1) * float(halves.std(ddof=1))
    return max(0.0, value - reach), min(1.0, value + reach)


def _half(points: Points, random: np.random.Generator) -> np.ndarray:
    """Half of the points; one that was tried in several cells comes or stays away as a whole."""
    ids = np.unique(points.ids.astype(str))
    return np.isin(points.ids.astype(str), random.permutation(ids)[: (len(ids) + 1) // 2])


# --- in words --------------------------------------------------------------------------------------------------------


def sentences(run: Run) -> list[str]:
    """What mattered, and how exact the parameters have to be, in a few sentences. Edges are for the cautions."""
    found = importance(run)
    texts = [_sentence(metric, rows) for metric, rows in found.groupby("objective", sort=False)]
    return [*texts, *of_sensitivity(run)]


def _sentence(metric: Any, rows: pd.DataFrame) -> str:
    pool = rows.loc[(rows["cell"] == POOLED) & (rows["method"] == "fanova")]
    known = pool.loc[pool["value"].notna()].sort_values("value", ascending=False, kind="stable")
    if known.empty:
        return f"Which parameters mattered for {plain(metric)} cannot be said: {pool['note'].iloc[0]}."
    clear = known.loc[known["low"] > known["chance"]]
    rest = [plain(name, 60) for name in known["parameter"] if name not in set(clear["parameter"])]
    if clear.empty:
        return f"No parameter can be told to have mattered for {plain(metric)}: {', '.join(rest)} are at chance level."
    parts = [f"{plain(row.parameter, 60)} {_percent(row)}" for row in clear.itertuples()]
    text = f"Of the variance of {plain(metric)} over the search space, {', '.join(parts)} (fANOVA)."
    return text + (f" {', '.join(rest)} cannot be told from chance." if rest else "")


def _percent(row: Any) -> str:
    return f"explains {100 * row.value:.0f} % [{100 * row.low:.0f}, {100 * row.high:.0f}]"

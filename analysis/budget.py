"""Whether the search was long enough, and what its winners are worth on fresh seeds. One objective only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import agreement, selection, stats
from analysis.agreement import fresh, kendall, only, optimism, rank_agreement, tau_interval
from analysis.frames import Run
from analysis.once import once
from analysis.replicates import Objective
from analysis.selection import Curve
from analysis.tuned import noises, tuned
from analysis.wording import count, estimate, number, plain

__all__ = [
    "doubling", "expected_best", "kendall", "optimism", "rank_agreement", "sentences", "tau_interval",
]  # fmt: skip

_FEWEST = 4  # points of a curve


@dataclass(frozen=True, eq=False)
class _Search:
    """The search of one cell. ``sign`` turns its objective so that higher is better."""

    cell: str
    points: int
    noise: float
    sign: int
    sizes: selection.Sizes
    naive: selection.Floats
    curve: Curve | None
    method: str
    note: str


def expected_best(run: Run) -> pd.DataFrame:
    """What a search of so many points finds in each cell, on average over which of its points come first.

    Columns:
        cell, budget: number of points, from 1 to all that were tried.
        value: the objective that the best of them has on fresh seeds; NaN if it cannot be told, see ``note``.
        low, high: 95 % interval.
        naive: the best observed value, which is too good, as the best of several was also the luckiest.
        method: confirm seeds, tune seeds, or empty; see ``selection.py``.
        note: why there is no value.
    """
    columns = ["cell", "budget", "value", "low", "high", "naive", "method", "note"]
    rows = [row for search in _searches(run) for row in _rows(search)]
    return pd.DataFrame(rows, columns=columns)


def _rows(search: _Search) -> Iterator[tuple[Any, ...]]:
    value, reach = _value_and_reach(search)
    for size, best, off, naive in zip(search.sizes.tolist(), value, reach, search.naive, strict=True):
        mean = search.sign * best
        yield search.cell, size, mean, mean - off, mean + off, search.sign * naive, search.method, search.note


def _value_and_reach(search: _Search) -> tuple[np.ndarray, np.ndarray]:
    if search.curve is None:
        nothing = np.full(len(search.sizes), math.nan)
        return nothing, nothing
    reach = stats.quantile(stats.LEVEL, search.points - 1)
    return search.curve.value, reach * search.curve.draws.std(axis=0, ddof=1)


def doubling(run: Run) -> pd.DataFrame:
    """What the second half of the budget brought in each cell.

    Columns:
        cell, points: that were tried.
        gain, low, high: by how much the expected best improved from half of the points to all, with its 95 %
            interval; in the units of the objective, positive is better.
        noise: standard deviation of the objective between seeds.
        verdict: enough (the gain is below the noise), short (it is above), unclear.
    """
    rows = []
    for search in _searches(run):
        half, whole = (int(np.flatnonzero(search.sizes == n)[0]) for n in (max(1, search.points // 2), search.points))
        gain, off = math.nan, math.nan
        if search.curve is not None:
            draws = search.curve.draws[:, whole] - search.curve.draws[:, half]
            gain = float(search.curve.value[whole] - search.curve.value[half])
            off = stats.quantile(stats.LEVEL, search.points - 1) * float(draws.std(ddof=1))
        verdict = "enough" if gain + off < search.noise else "short" if gain - off > search.noise else "unclear"
        rows.append((search.cell, search.points, gain, gain - off, gain + off, search.noise, verdict))
    return pd.DataFrame(rows, columns=["cell", "points", "gain", "low", "high", "noise", "verdict"])


@once
def _searches(run: Run) -> list[_Search]:
    objective = only(run)
    return [] if objective is None else list(_found(run, objective))


def _found(run: Run, objective: Objective) -> Iterator[_Search]:
    noise, known = noises(run, objective.metric), fresh(run, objective)
    sign = 1 if objective.maximize else -1
    for cell, rows in tuned(run, objective).groupby("cell", sort=False):
        found = rows.loc[(rows["state"] == "done") & rows["feasible"]]
        sd = noise[str(cell)].sd if str(cell) in noise else math.nan
        y, sizes = sign * found["value"].to_numpy(dtype=float), selection.budgets(len(rows))
        expected, curve, method = np.full(len(sizes), math.nan), None, ""
        note = f"{count(len(y), 'finished point')}; it takes {_FEWEST}"
        if len(y) >= _FEWEST:
            expected = selection.naive(y, sizes, len(rows) - len(y))
            means = [known.get((str(cell), str(point))) for point in found["point"]]
            table = [[sign * value for value in seeds] for seeds in found["seeds"]]
            curve, method = _curve(table, means, sd, sign, sizes, len(rows))
            note = "" if curve else "neither confirm seeds nor several tune seeds"
        yield _Search(str(cell), len(rows), sd, sign, sizes, expected, curve, method, note)


def _curve(
    table: list[list[float]],
    confirmed: list[stats.Estimate | None],
    noise: float,
    sign: int,
    sizes: selection.Sizes,
    points: int,
) -> tuple[Curve | None, str]:
    """``table``: points by tune seeds, and ``confirmed``: their means over confirm seeds. Curve and method."""
    idle, random = points - len(table), np.random.default_rng(0)
    seeds = min(len(row) for row in table)
    if noise > 0 and any(mean and mean.count > 1 for mean in confirmed):
        again = np.array([sign * mean.value if mean else math.nan for mean in confirmed])
        errors = np.array([noise / math.sqrt(mean.count) if mean and mean.count else math.nan for mean in confirmed])
        y = np.array([float(np.mean(row)) for row in table])
        return selection.by_noise(y, again, errors, noise / math.sqrt(seeds), sizes, idle, random), "confirm seeds"
    if seeds > 1:
        cut = np.array([row[:seeds] for row in table])
        return selection.by_replicates(cut, sizes, idle, random), "tune seeds"
    return None, ""


# --- in words --------------------------------------------------------------------------------------------------------


def sentences(run: Run) -> list[str]:
    """Whether the budget was enough, how optimistic the search was, and whether it ranked the cells well."""
    objective = only(run)
    if objective is None:
        return []
    return [*_of_doubling(doubling(run), plain(objective.metric)), *agreement.sentences(run)]


def _of_doubling(found: pd.DataFrame, metric: str) -> Iterator[str]:
    known = found.loc[np.isfinite(found["gain"].astype(float)) & np.isfinite(found["noise"].astype(float))]
    if len(found) and known.empty:
        yield "Whether the search was long enough cannot be told without confirm seeds and finished points."
        return
    for verdict, meaning in (
        ("short", "brought more than the noise between seeds: more points are likely to help"),
        ("enough", "brought less than the noise between seeds: the search was long enough"),
        ("unclear", "brought an unclear gain: whether the search was long enough cannot be told"),
    ):
        rows = known.loc[known["verdict"] == verdict]
        if len(rows):
            top = rows.loc[rows["gain"].idxmax()]
            gain = estimate(top["gain"], top["low"], top["high"])
            most = f"at most {gain}" if len(rows) > 1 else gain
            yield (
                f"In {count(len(rows), 'cell')} the second half of the points {meaning} "
                f"(an improvement of {most} in {metric}, noise {number(top['noise'], 2)})."
            )

"""The answer: every cell's winner on its confirm seeds, the best of them, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import pandas as pd

from analysis import stats
from analysis.claims import number as as_number
from analysis.frames import Run
from analysis.replicates import Objective, answer_metric, confirms, objectives, replicates, shown_metrics, values
from analysis.wording import DASH, count, decimals, estimate, number, plain


@dataclass(frozen=True)
class Row:
    """One confirmed point of one cell. A cell without a winner has a row without a point."""

    cell: str
    name: str
    levels: Mapping[str, str]
    point: str
    params: Mapping[str, Any]
    replicates: int
    planned: int
    values: Mapping[str, stats.Estimate]
    seeds: Mapping[str, Mapping[int, float]]  # metric -> seed -> value


def names(cells: pd.DataFrame) -> dict[str, str]:
    """What each cell is called: its levels of the factors that vary, but for those that follow from another one's."""
    known = cells.fillna(DASH)
    varying = [factor for factor in known if len(set(known[factor])) > 1]
    told = [f for n, f in enumerate(varying) if not any(_follows(known, f, other) for other in varying[:n])]
    levels = known.to_dict("index")
    return {str(cell): " · ".join(named(f, row[f]) for f in told) or "the only cell" for cell, row in levels.items()}


def _follows(cells: pd.DataFrame, factor: str, other: str) -> bool:
    """Whether the level of ``other`` says that of ``factor``, as where they are zipped."""
    return bool((cells.groupby(other)[factor].nunique() == 1).all())


def named(factor: str, level: Any, width: int = 0) -> str:
    """A level as it is called; a number says of what: ``width 8``."""
    alone = plain(level, width)
    return alone if as_number(level) is None else f"{plain(factor.rpartition('.')[2], 30)} {alone}"


def rows(run: Run) -> list[Row]:
    """One row per cell and confirmed point, in the order of the sweep."""
    called, trials, done = names(run.cells), confirms(run), replicates(run)
    known = {metric: values(run, metric) for metric in shown_metrics(run)}
    found: list[Row] = []
    for cell, levels in run.cells.fillna(DASH).to_dict("index").items():
        for point, params in _points(run, str(cell), trials):
            mine = done.loc[(done["cell"] == cell) & (done["point"] == point), ["trial", "seed"]]
            pairs = list(zip(mine["trial"], mine["seed"].tolist(), strict=True))
            seeds = {m: {seed: of[trial] for trial, seed in pairs if trial in of} for m, of in known.items()}
            means = {metric: stats.mean(list(per_seed.values())) for metric, per_seed in seeds.items()}
            planned = int(((trials["cell"] == cell) & (trials["point"] == point)).sum())
            name = called[str(cell)]
            found.append(Row(str(cell), name, levels, point, params, len(pairs), planned, means, seeds))
    return found


def _points(run: Run, cell: str, trials: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    for frame in (run.winners, trials.drop_duplicates("point")):
        mine = frame.loc[frame["cell"] == cell]
        if len(mine):
            return list(zip(mine["point"], mine["params"], strict=True))
    return [("", {})]


def places(table: list[Row], metric: str) -> int:
    """The decimals in which a metric is shown: those that its usual interval needs."""
    means = [row.values[metric] for row in table if math.isfinite(row.values[metric].error)]
    varying = [mean for mean in means if mean.error] or means  # a rate that is 0 in every seed needs no decimals
    needed = [decimals(mean.value, *mean.interval()) for mean in varying]
    return median_low(needed) if needed else 3


def sentence(run: Run, table: list[Row]) -> str:
    """The answer in one or two sentences, no surer than the intervals."""
    if run.simulated:
        return (
            "SIMULATED: nothing was trained. Curves are made up or played again and times are virtual: this says how "
            "such a sweep runs, and answers nothing."
        )
    target = answer_metric(run)
    if target is None:
        return "The sweep names no objective, so there is no best cell."
    ready = [row for row in table if math.isfinite(row.values[target.metric].value)]
    if not ready:
        return "No confirm replicate has finished yet, so there is no answer."
    if len(objectives(run.lock)) > 1:
        cells = len({row.cell for row in ready})
        return f"{count(len(ready), 'confirmed point')} on the fronts of {count(cells, 'cell')}; the table lists them."
    ranked = sorted(ready, key=lambda row: row.values[target.metric].value, reverse=target.maximize)
    missing = len({row.cell for row in table}) - len(ready)
    return _best(target, ranked) + (f" {count(missing, 'cell')} without an answer." if missing else "")


def _best(target: Objective, ranked: list[Row]) -> str:
    first, rest = ranked[0], ranked[1:]
    most = "highest" if target.maximize else "lowest"
    metric, mean = plain(target.metric), first.values[target.metric]
    value = _value(mean, places(ranked, target.metric))
    if not rest:
        return f"In {plain(first.name)}, {metric} is {value}."
    tied = [row for row in rest if not _apart(first, row, target, len(ranked))]
    text = f"{plain(first.name)} has the {most} {metric}: {value}."
    if not tied:
        return (
            f"{text} The difference to {'every other cell' if len(rest) > 1 else plain(rest[0].name)} is significant."
        )
    named = ", ".join(plain(row.name, 60) for row in tied[:3]) + (f" and {len(tied) - 3} more" if len(tied) > 3 else "")
    return f"{text} It cannot be told apart from {named} with these seeds."


def _value(mean: stats.Estimate, digits: int) -> str:
    if mean.count < 2:
        return f"{number(mean.value)} (one seed, so no interval)"
    value, interval = estimate(mean.value, *mean.interval(), places=digits).split(" ", 1)
    return f"{value} (95 % interval {interval.strip('[]').replace(',', ' to')}, {count(mean.count, 'seed')})"


def _apart(best: Row, other: Row, target: Objective, cells: int) -> bool:
    """Whether two cells differ, corrected for all pairs of cells (Bonferroni), as the best was picked by looking."""
    left, right = best.seeds[target.metric], other.seeds[target.metric]
    common = sorted(left.keys() & right.keys())
    paired = len(common) >= 2
    a, b = ([one[s] for s in common] if paired else list(one.values()) for one in (left, right))
    return stats.difference(a, b, paired=paired).p_value() * cells * (cells - 1) / 2 <= stats.ALPHA

"""The same cells of several runs, side by side: two commits, two clusters, before and after.

The first run is the baseline, and every other run is compared with it, cell by cell. Cells are the same if their
levels are. Seeds are the same in every run, so the confirm replicates of a cell are compared seed by seed (by Welch's
test if they have at most one seed in common). As in the verdicts on claims, the interval alone decides, never the point
estimate:

| verdict | the interval of the difference |
|---|---|
| better, worse | lies wholly beyond the margin |
| differs | the same, of a metric of which it is not known whether more is better |
| same | lies wholly within the margin; without a margin, the replicates are equal |
| undecided | does neither |
| gone, new | there is none, as the cell has replicates on one side only |

The intervals are wide enough for all comparisons together (Holm, 1979). Each run is compared with its own winners, so
a difference may come from the search, too: ``same_point`` says whether both sides have tuned to the same point.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from analysis import stats
from analysis.answers import names
from analysis.frames import Run
from analysis.records import LedgerError
from analysis.replicates import answer_metric, confirms, objectives, replicates, values
from analysis.splits import quantity

Verdict = Literal["better", "worse", "differs", "same", "undecided", "gone", "new"]
REGRESSIONS: tuple[Verdict, ...] = ("worse", "differs", "gone")
Levels = tuple[tuple[str, str], ...]
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Side:
    """The replicates of one cell in one run."""

    values: BySeed
    planned: int
    points: frozenset[str]
    reason: str = "no such cell"  # why there are no values

    @property
    def mean(self) -> stats.Estimate:
        return stats.mean(list(self.values.values()))


@dataclass(frozen=True)
class Comparison:
    """One cell of one run, compared with the baseline.

    Attributes:
        difference: the other run minus the baseline, with its interval from ``low`` to ``high`` at ``level``; NaN if
            there is none.
        p: against the nearest bound of the margin, adjusted for all comparisons.
        same_point: whether the same nuisance parameters were confirmed on both sides.
    """

    cell: str
    metric: str
    run: str
    before: Side
    after: Side
    verdict: Verdict
    reason: str = ""
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    level: float = math.nan
    p: float = math.nan
    paired: bool = False

    @property
    def same_point(self) -> bool:
        return self.before.points == self.after.points


def compare(runs: Mapping[str, Run], metrics: Sequence[str] = (), margin: float = 0.0) -> list[Comparison]:
    """Every cell of every later run against the first, in the order of the cells.

    Args:
        runs: by name, at least two.
        metrics: by default the one that the answer is given in, or all objectives if there are several.
        margin: the largest difference that does not matter, in units of the metric.

    Raises:
        LedgerError: fewer than two runs, one that is simulated, no cell in common, or a metric that none has reported.
    """
    if len(runs) < 2:
        raise LedgerError(f"a comparison needs two runs, got {', '.join(runs) or 'none'}")
    if made_up := [name for name, run in runs.items() if run.simulated]:
        raise LedgerError(f"{made_up[0]}: simulated, so there is nothing to compare")
    (_, first), *others = runs.items()
    chosen = list(metrics) or _metrics(first)
    _refuse_unknown(chosen, runs)
    for name, run in others:
        if not set(_by_levels(run)) & set(_by_levels(first)):
            raise LedgerError(f"{name}: no cell in common with {next(iter(runs))}")
    return _judged(first, _pairs(runs, chosen), margin)


def _metrics(run: Run) -> list[str]:
    several, answer = objectives(run.lock), answer_metric(run)
    return [o.metric for o in several] if len(several) > 1 else [answer.metric] if answer else []


def _refuse_unknown(metrics: Iterable[str], runs: Mapping[str, Run]) -> None:
    for metric in metrics:
        if not any(metric in set(run.reports["metric"].unique()) for run in runs.values()):
            known = ", ".join(sorted({str(m) for run in runs.values() for m in run.reports["metric"].unique()}))
            raise LedgerError(f"{metric}: no run has reported this metric; they have {known or 'none'}")


_Pair = tuple[str, str, str, Side, Side]  # cell, metric, run, before and after


# --- both sides of every cell ----------------------------------------------------------------------------------------


def _pairs(runs: Mapping[str, Run], metrics: Sequence[str]) -> list[_Pair]:
    sides = {(name, metric): _sides(run, metric) for name, run in runs.items() for metric in metrics}
    called = {levels: name for run in reversed(list(runs.values())) for levels, name in _by_levels(run).items()}
    first, *others = runs
    nothing = Side({}, 0, frozenset())
    return [
        (
            called[levels],
            metric,
            name,
            sides[first, metric].get(levels, nothing),
            sides[name, metric].get(levels, nothing),
        )
        for metric in metrics
        for levels in dict.fromkeys(levels for run in runs.values() for levels in _by_levels(run))
        for name in others
    ]


def _by_levels(run: Run) -> dict[Levels, str]:
    """Levels of each cell -> what it is called."""
    called = names(run.cells)
    return {_levels(row): called[str(cell)] for cell, row in run.cells.to_dict("index").items()}


def _levels(row: Mapping[str, str]) -> Levels:
    return tuple(sorted((factor, level) for factor, level in row.items() if isinstance(level, str)))


def _sides(run: Run, metric: str) -> dict[Levels, Side]:
    """Of each cell the mean over its confirmed points, by seed; of the seeds that finished in all of them."""
    known, done, planned = values(run, metric), replicates(run), confirms(run)
    found: dict[Levels, Side] = {}
    for cell, row in run.cells.to_dict("index").items():
        mine = done.loc[done["cell"] == cell, ["trial", "point", "seed"]]
        points = frozenset(planned.loc[planned["cell"] == cell, "point"])
        per_point: dict[str, dict[int, float]] = defaultdict(dict)
        for trial, point, seed in zip(mine["trial"], mine["point"], mine["seed"].tolist(), strict=True):
            per_point[point][seed] = known.get(trial, math.nan)
        seeds = sorted(set.intersection(*map(set, per_point.values()))) if per_point else []
        means = {seed: fmean(per_seed[seed] for per_seed in per_point.values()) for seed in seeds}
        found[_levels(row)] = _side(means, len(set(planned.loc[planned["cell"] == cell, "seed"])), points, metric)
    return found


def _side(means: BySeed, planned: int, points: frozenset[str], metric: str) -> Side:
    bad = [seed for seed, value in means.items() if not math.isfinite(value)]
    if bad:
        return Side({}, planned, points, f"{metric} is missing or not finite at seed {bad[0]}")
    return Side(means, planned, points, "" if means else "no finished replicate")


# --- verdicts --------------------------------------------------------------------------------------------------------


def _judged(first: Run, pairs: Sequence[_Pair], margin: float) -> list[Comparison]:
    effects = [_effect(before, after) for *_, before, after in pairs]
    p = [math.nan if effect is None else stats.p_of_region(effect[0], -margin, margin) for effect in effects]
    levels, adjusted = stats.holm_levels(p), stats.holm(p)
    signs = {metric: _sign(first, metric) for _, metric, *_ in pairs}
    return [
        _one_sided(pair) if effect is None else _judge(pair, *effect, level, p_value, margin, signs[pair[1]])
        for pair, effect, level, p_value in zip(pairs, effects, levels, adjusted, strict=True)
    ]


def _effect(before: Side, after: Side) -> tuple[stats.Estimate, bool] | None:
    if not before.values or not after.values:
        return None
    common = sorted(before.values.keys() & after.values.keys())
    paired = len(common) >= 2 or before.values.keys() == after.values.keys()
    a, b = ([side.values[s] for s in common] if paired else list(side.values.values()) for side in (after, before))
    return stats.difference(a, b, paired=paired), paired


def _sign(run: Run, metric: str) -> int:
    """1 if more of the metric is better, -1 if less is, 0 if the sweep does not say."""
    for objective in objectives(run.lock):
        if quantity(objective.metric) == quantity(metric):
            return 1 if objective.maximize else -1
    return 0


def _one_sided(pair: _Pair) -> Comparison:
    *_, before, after = pair
    if before.values:
        return Comparison(*pair, "gone", after.reason)
    return Comparison(*pair, "new" if after.values else "undecided", before.reason)


def _judge(
    pair: _Pair, effect: stats.Estimate, paired: bool, level: float, p: float, margin: float, sign: int
) -> Comparison:
    low, high = effect.interval(level)
    verdict, reason = _verdict(low, high, margin, sign)
    return Comparison(*pair, verdict, reason, effect.value, low, high, level, p, paired)


def _verdict(low: float, high: float, margin: float, sign: int) -> tuple[Verdict, str]:
    if math.isnan(low):
        return "undecided", "one replicate has no interval"
    if -margin <= low and high <= margin:
        return "same", ""
    if low > margin or high < -margin:
        return ("differs" if not sign else "better" if (low > margin) == (sign > 0) else "worse"), ""
    return "undecided", ""


# --- as a table ------------------------------------------------------------------------------------------------------


def frame(comparisons: Sequence[Comparison], baseline: str) -> pd.DataFrame:
    """One row per comparison, every number in full."""
    return pd.DataFrame.from_records([_record(c, baseline) for c in comparisons])


def _record(c: Comparison, baseline: str) -> dict[str, Any]:
    sides: dict[str, Any] = {}
    for name, side in (("before", c.before), ("after", c.after)):
        low, high = side.mean.interval()
        sides |= {
            f"{name}": side.mean.value,
            f"{name} low": low,
            f"{name} high": high,
            f"{name} seeds": len(side.values),
        }
    names = ("difference", "low", "high", "level", "p", "paired", "same_point", "verdict", "reason")
    where = {"cell": c.cell, "metric": c.metric, "baseline": baseline, "run": c.run}
    return where | sides | {name: getattr(c, name) for name in names}

"""What the confirm replicates say about a claim: one effect, or one for each level of the other factors.

Only finished confirm replicates count, and the seeds are the replicates: cells that are averaged are averaged seed by
seed, over the seeds that finished in all of them, and two sides are compared seed by seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from analysis import correlation, stats
from analysis.claims import Claim, number, selected
from analysis.frames import Run
from analysis.replicates import objectives, replicates, values
from analysis.simultaneous import Extreme
from analysis.splits import quantity

BySeed = dict[int, float]
Point = tuple[str, str]  # cell and point
_FEWEST_TO_CORRELATE = 3


class UntestableError(Exception):
    """Says why a claim cannot be tested."""


@dataclass(frozen=True)
class Group:
    """The effect at one combination of levels of the other factors; ``name`` is empty if there is only one."""

    name: str
    effect: stats.Effect


@dataclass(frozen=True)
class _Sides:
    """The cells of a claim, or of one group of it."""

    name: str
    where: tuple[str, ...]
    against: tuple[str, ...]


class Evidence:
    """The replicates of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._cells: dict[str, Mapping[str, Any]] = {str(c): row for c, row in run.cells.to_dict("index").items()}
        self._known: dict[str, Mapping[str, float]] = {}  # metric -> trial -> value

    def groups(self, claim: Claim, before: float = math.inf) -> list[Group]:
        """The effects that a claim is judged by, from the seeds below ``before``. Raises UntestableError."""
        return [Group(sides.name, self._effect(claim, sides, before)) for sides in self._sides(claim)]

    def cells(self, claim: Claim) -> list[str]:
        """The cells that a claim is about; none if it is untestable."""
        try:
            return sorted({cell for sides in self._sides(claim) for cell in (*sides.where, *sides.against)})
        except UntestableError:
            return []

    # --- which cells --------------------------------------------------------------------------------------------------

    def _sides(self, claim: Claim) -> list[_Sides]:
        where = self._selected(claim.where)
        against = [] if claim.against is None else self._selected(claim.against)
        if claim.over == "pooled":
            return [_Sides("", tuple(where), tuple(against))]
        named = {*claim.where, *(claim.against or {}), claim.along}
        others = [factor for factor in self._run.cells.columns if factor not in named]
        left, right = self._by_level(where, others), self._by_level(against, others)
        for levels in left.keys() ^ right.keys() if against else ():
            raise UntestableError(f"only one side has a cell where {_named(others, levels)}")
        return [_Sides(_named(others, key), tuple(cells), tuple(right.get(key, ()))) for key, cells in left.items()]

    def _selected(self, where: Mapping[str, Any]) -> list[str]:
        chosen = [cell for cell, levels in self._cells.items() if selected([levels], where)]
        if not chosen:
            raise UntestableError("no cell has " + ", ".join(f"{k} = {v}" for k, v in where.items()))
        return chosen

    def _by_level(self, cells: Sequence[str], factors: Sequence[str]) -> dict[tuple[Any, ...], list[str]]:
        found: dict[tuple[Any, ...], list[str]] = defaultdict(list)
        for cell in cells:
            found[tuple(self._cells[cell][factor] for factor in factors)].append(cell)
        return found

    # --- which effect -------------------------------------------------------------------------------------------------

    def _effect(self, claim: Claim, sides: _Sides, before: float) -> stats.Effect:
        if claim.expect == "front_dominates":
            return self._front(claim, sides, before)
        if claim.expect == "correlation_at_least":
            return self._correlation(claim, sides.where, before)
        if claim.along is not None:
            levels = self._levels(claim.metric, claim.along, sides.where, before)
            return _peak(claim, levels) if claim.expect == "peaks_at" else stats.trend(_table(claim.along, levels))
        left = self._mean(claim.metric, sides.where, before)
        if claim.against is None:
            return stats.skewed_mean(list(left.values()))
        a, b, paired = _paired(left, self._mean(claim.metric, sides.against, before))
        compare = stats.ratio if claim.expect == "ratio_at_least" else stats.difference
        return compare(a, b, paired=paired)

    def _mean(self, metric: str, cells: Sequence[str], before: float) -> BySeed:
        """The mean over the cells and their points, of the seeds that finished in all of them."""
        found = self._by_point(metric, cells, before)
        seeds = set.intersection(*(set(per_seed) for per_seed in found.values()))
        if not seeds:
            raise UntestableError("no seed has finished in all of the cells")
        return {seed: fmean(per_seed[seed] for per_seed in found.values()) for seed in sorted(seeds)}

    def _levels(self, metric: str, factor: str, cells: Sequence[str], before: float) -> dict[float, BySeed]:
        """Level -> seed -> mean over the cells of that level, the levels rising."""
        if factor not in self._run.cells:
            raise UntestableError(f"{factor} is not a factor of this sweep")
        groups: dict[float, list[str]] = defaultdict(list)
        for cell in cells:
            level = self._cells[cell][factor]
            if (value := number(level)) is None:
                raise UntestableError(f"the level {level} of {factor} is not a number")
            groups[value].append(cell)
        if len(groups) < 2:
            raise UntestableError(f"only one level of {factor} is selected")
        return {value: self._mean(metric, groups[value], before) for value in sorted(groups)}

    def _front(self, claim: Claim, sides: _Sides, before: float) -> Extreme:
        """By how much every point of ``against`` is led, in all metrics, by some point of ``where``."""
        champions = [self._by_point(metric, sides.where, before) for metric in claim.metrics]
        rivals = [self._by_point(metric, sides.against, before) for metric in claim.metrics]
        scales = [
            self._goal(metric) / _spread([*a.values(), *b.values()])
            for metric, a, b in zip(claim.metrics, champions, rivals, strict=True)
        ]

        def leads(champion: Point, rival: Point) -> tuple[stats.Effect, ...]:
            pairs = [_paired(a[champion], b[rival]) for a, b in zip(champions, rivals, strict=True)]
            return tuple(
                stats.difference(np.multiply(a, scale), np.multiply(b, scale), paired=paired)
                for (a, b, paired), scale in zip(pairs, scales, strict=True)
            )

        return Extreme(tuple(tuple(leads(c, r) for c in champions[0]) for r in rivals[0]))

    def _goal(self, metric: str) -> float:
        """1 if more is better, -1 if less is: as the objective that is the same quantity, of any split."""
        for objective in objectives(self._run.lock):
            if metric == objective.metric or quantity(metric) == quantity(objective.metric):
                return 1.0 if objective.maximize else -1.0
        raise UntestableError(f"{metric} is no objective, so there is no telling which end of it is better")

    def _correlation(self, claim: Claim, cells: Sequence[str], before: float) -> stats.Effect:
        """Spearman's correlation over the cells and their points within each seed; the seeds are the replicates."""
        tables = [self._by_point(metric, cells, before) for metric in claim.metrics]
        points = list(tables[0])
        if len(points) < _FEWEST_TO_CORRELATE:
            raise UntestableError(f"a correlation needs {_FEWEST_TO_CORRELATE} cells, and there are {len(points)}")
        seeds = sorted(set.intersection(*(set(table[point]) for table in tables for point in points)))
        if not seeds:
            raise UntestableError("no seed has finished in all of the cells")
        found = correlation.spearman(
            *([[table[point][seed] for point in points] for seed in seeds] for table in tables)
        )
        if np.isnan(found).any():
            raise UntestableError("one of the metrics is the same in all cells")
        return correlation.mean(found, len(points))

    # --- the replicates -----------------------------------------------------------------------------------------------

    def _by_point(self, metric: str, cells: Sequence[str], before: float) -> dict[Point, BySeed]:
        """Cell and point -> seed -> value of the finished replicates."""
        found = {
            point: {seed: self._value(metric, trial) for seed, trial in trials.items() if seed < before}
            for cell in cells
            for point, trials in self._trials.get(cell, {}).items()
        }
        found = {point: per_seed for point, per_seed in found.items() if per_seed}
        for cell in cells:
            if cell not in {cell for cell, _ in found}:
                raise UntestableError(f"no finished confirm replicate where {self._name(cell)}")
        return found

    @cached_property
    def _trials(self) -> dict[str, dict[Point, dict[int, str]]]:
        """Cell -> point -> seed -> trial."""
        found: dict[str, dict[Point, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
        rows = replicates(self._run)
        for trial, cell, point, seed in zip(rows["trial"], rows["cell"], rows["point"], rows["seed"], strict=True):
            found[cell][cell, point][int(seed)] = trial
        return found

    def _value(self, metric: str, trial: str) -> float:
        if metric not in self._known:
            self._known[metric] = values(self._run, metric)
        found = self._known[metric].get(trial)
        if found is None:
            raise UntestableError(f"{metric} was not reported by trial {trial}")
        if not math.isfinite(found):
            raise UntestableError(f"{metric} is {found} in trial {trial}")
        return found

    def _name(self, cell: str) -> str:
        return ", ".join(f"{k} = {v}" for k, v in self._cells[cell].items()) or f"the cell is {cell}"


def _named(factors: Sequence[str], levels: Sequence[Any]) -> str:
    return ", ".join(f"{factor} = {level}" for factor, level in zip(factors, levels, strict=True))


def _paired(left: BySeed, right: BySeed) -> tuple[list[float], list[float], bool]:
    """Both sides at their common seeds; as they are if they have at most one in common."""
    common = sorted(left.keys() & right.keys())
    if len(common) >= 2 or left.keys() == right.keys():
        return [left[seed] for seed in common], [right[seed] for seed in common], True
    return list(left.values()), list(right.values()), False


def _common(factor: str, levels: Mapping[float, BySeed]) -> list[int]:
    seeds = sorted(set.intersection(*map(set, levels.values())))
    if not seeds:
        raise UntestableError(f"no seed has finished at every level of {factor}")
    return seeds


def _table(factor: str, levels: Mapping[float, BySeed]) -> list[list[float]]:
    """Seeds by levels, in the order of the levels."""
    return [[level[seed] for level in levels.values()] for seed in _common(factor, levels)]


def _peak(claim: Claim, levels: Mapping[float, BySeed]) -> Extreme:
    """By how much the best level inside the claimed range leads the best one outside; no shape is assumed."""
    factor = claim.along or ""
    seeds = _common(factor, levels)
    columns = {level: [per_seed[seed] for seed in seeds] for level, per_seed in levels.items()}
    inside = [column for level, column in columns.items() if claim.includes(level)]
    outside = [column for level, column in columns.items() if not claim.includes(level)]
    if not inside or not outside:
        raise UntestableError(f"all selected levels of {factor} are {'outside' if outside else 'inside'} the range")
    return Extreme(tuple(tuple((stats.difference(a, b, paired=True),) for a in inside) for b in outside))


def _spread(sides: Sequence[BySeed]) -> float:
    """The range of the means; 1 if they are all the same."""
    means = [fmean(side.values()) for side in sides if side]
    return max(means) - min(means) or 1.0

"""What became of the claims of a sweep.

A claim *holds* if the interval of its effect lies inside its region, *fails* if it lies outside, and is *undecided*
otherwise; the point estimate alone never decides. The intervals are wide enough for all claims of the sweep together
(Holm, 1979). Only finished confirm replicates count, and the seeds are the replicates: cells that are averaged are
averaged seed by seed, over the seeds that finished in all of them, and two sides are compared seed by seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from analysis import stats
from analysis.claims import Claim, Where, claims_of, number, selected
from analysis.frames import Run
from analysis.replicates import replicates, values

Outcome = Literal["holds", "fails", "undecided", "untestable"]
BySeed = dict[int, float]


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    Attributes:
        effect: NaN if untestable; ``low`` and ``high`` are its interval at ``level``, wide enough for all claims.
        p: adjusted for all claims.
        replicates: seeds; on the smaller side if they could not be paired.
    """

    claim: Claim
    verdict: Outcome
    reason: str = ""
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    level: float = math.nan
    p: float = math.nan
    replicates: int = 0


class _UntestableError(Exception):
    """Says why a claim cannot be tested."""


def verdicts(run: Run) -> list[Verdict]:
    """One for each claim, in the order of the sweep."""
    claims = claims_of(run.lock)
    effects = [_effect_or_reason(run, claim) for claim in claims]
    pairs = list(zip(claims, effects, strict=True))
    p = [math.nan if isinstance(e, str) else stats.p_of_region(e, *claim.region()) for claim, e in pairs]
    return [
        Verdict(claim, "untestable", effect) if isinstance(effect, str) else _judge(claim, effect, level, adjusted)
        for (claim, effect), level, adjusted in zip(pairs, stats.holm_levels(p), stats.holm(p), strict=True)
    ]


def _judge(claim: Claim, effect: stats.Effect, level: float, p: float) -> Verdict:
    low, high = effect.interval(level)
    numbers = (effect.value, low, high, level, p, effect.count)
    if math.isnan(low):
        return Verdict(claim, "undecided", "one replicate has no interval", *numbers)
    floor, ceiling = claim.region()
    # "Greater" wants more than no difference at all, but "between 1 and 2" is content with 1.
    strict = claim.expect in ("greater", "less", "increases", "decreases")
    inside = floor < low and high < ceiling if strict else floor <= low and high <= ceiling
    outside = high < floor or low > ceiling
    return Verdict(claim, "holds" if inside else "fails" if outside else "undecided", "", *numbers)


def _effect_or_reason(run: Run, claim: Claim) -> stats.Effect | str:
    try:
        return _effect(run, claim)
    except _UntestableError as error:
        return str(error)


def _effect(run: Run, claim: Claim) -> stats.Effect:
    chosen = _cells(run, claim.where)
    if claim.along is not None:
        return stats.trend(_by_level(run, claim.metric, claim.along, chosen))
    left = _per_seed(run, claim.metric, chosen)
    if claim.against is None:
        return stats.mean(list(left.values()))
    a, b, paired = _paired(left, _per_seed(run, claim.metric, _cells(run, claim.against)))
    compare = stats.ratio if claim.expect == "ratio_at_least" else stats.difference
    return compare(a, b, paired=paired)


def _cells(run: Run, where: Where) -> list[str]:
    chosen = [str(cell) for cell, levels in run.cells.to_dict("index").items() if selected([levels], where)]
    if not chosen:
        raise _UntestableError("no cell has " + ", ".join(f"{k} = {v}" for k, v in where.items()))
    return chosen


def _per_seed(run: Run, metric: str, cells: list[str]) -> BySeed:
    """The mean over the cells and their points, of the seeds that finished in all of them."""
    found: dict[tuple[str, str], BySeed] = defaultdict(dict)
    rows, known = replicates(run), values(run, metric)
    for trial, cell, point, seed in zip(rows["trial"], rows["cell"], rows["point"], rows["seed"], strict=True):
        if cell in cells:
            found[cell, point][seed] = _value(known, trial, metric)
    for cell in cells:
        if cell not in {cell for cell, _ in found}:
            raise _UntestableError(f"no finished confirm replicate where {_name(run, cell)}")
    seeds = set.intersection(*(set(per_seed) for per_seed in found.values()))
    if not seeds:
        raise _UntestableError("no seed has finished in all of the cells")
    return {seed: fmean(per_seed[seed] for per_seed in found.values()) for seed in sorted(seeds)}


def _value(known: dict[str, float], trial: str, metric: str) -> float:
    if trial not in known:
        raise _UntestableError(f"{metric} was not reported by trial {trial}")
    if not math.isfinite(known[trial]):
        raise _UntestableError(f"{metric} is {known[trial]} in trial {trial}")
    return known[trial]


def _name(run: Run, cell: str) -> str:
    return ", ".join(f"{k} = {v}" for k, v in run.cells.loc[cell].items()) or f"the cell is {cell}"


def _paired(left: BySeed, right: BySeed) -> tuple[list[float], list[float], bool]:
    """Both sides at their common seeds; as they are if they have at most one in common."""
    common = sorted(left.keys() & right.keys())
    if len(common) >= 2 or left.keys() == right.keys():
        return [left[seed] for seed in common], [right[seed] for seed in common], True
    return list(left.values()), list(right.values()), False


def _by_level(run: Run, metric: str, factor: str, cells: list[str]) -> list[list[float]]:
    """Seeds by levels, in the order of the levels."""
    if factor not in run.cells:
        raise _UntestableError(f"{factor} is not a factor of this sweep")
    groups: dict[float, list[str]] = defaultdict(list)
    for cell in cells:
        level = run.cells.loc[cell, factor]
        if (rank := number(level)) is None:
            raise _UntestableError(f"the level {level} of {factor} is not a number")
        groups[rank].append(cell)
    if len(groups) < 2:
        raise _UntestableError(f"only one level of {factor} is selected")
    levels = [_per_seed(run, metric, groups[rank]) for rank in sorted(groups)]
    seeds = sorted(set.intersection(*map(set, levels)))
    if not seeds:
        raise _UntestableError(f"no seed has finished at every level of {factor}")
    return [[level[seed] for level in levels] for seed in seeds]

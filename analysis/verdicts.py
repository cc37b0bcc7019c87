"""What became of the claims of a sweep.

A claim *holds* if the interval of its effect lies inside its region, *fails* if it lies outside, and is *undecided*
otherwise; the point estimate alone never decides. The intervals are wide enough for all claims of the sweep together
(Holm, 1979), for all groups if the claim has to hold in each of them, and for all looks if the run was confirmed
sequentially (Ye et al., 2013, A group sequential Holm procedure with multiple primary endpoints, Stat. Med. 32,
1112-1124). docs/claims.md has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis import sequential, stats
from analysis.claims import Claim, claims_of
from analysis.evidence import Evidence, Group, UntestableError
from analysis.frames import Run
from analysis.looks import Looks, looks

Outcome = Literal["holds", "fails", "undecided", "untestable"]


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    Attributes:
        effect: NaN if untestable; ``low`` and ``high`` are its interval at ``level``, wide enough for all claims. Of a
            claim that has to hold in each of several groups, the group that decides, which ``reason`` names.
        p: adjusted for all claims and looks.
        replicates: seeds; on the smaller side if they could not be paired.
        more: about how many more replicates an undecided claim needs, an estimate; None if that cannot be said.
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
    more: int | None = None


@dataclass(frozen=True)
class Look:
    """What was known of a claim at one number of seeds."""

    claim: Claim
    groups: Sequence[Group]

    @property
    def p(self) -> float:
        """That the claim is found to hold, which all groups have to show, or to fail, for which one of them is enough.

        All: an intersection-union test, without correction. One of them: Bonferroni.
        """
        p = [stats.p_of_region(group.effect, *self.claim.region()) for group in self.groups]
        if any(math.isnan(one) for one in p):
            return math.nan
        inside = [self._inside(group) for group in self.groups]
        holds = max(p) if all(inside) else 1.0
        fails = min((one for one, there in zip(p, inside, strict=True) if not there), default=1.0)
        return min(holds, 1.0, len(p) * fails)

    def _inside(self, group: Group) -> bool:
        low, high = self.claim.region()
        return low <= group.effect.value <= high

    def verdict(self, level: float, p: float) -> Verdict:
        """Args: level: of the intervals, before the correction for groups. p: adjusted, to be shown."""
        strict = 1 - (1 - level) / len(self.groups)
        failed = [group for group in self.groups if self._side(group, strict) == "fails"]
        if failed:
            return self._shown(failed[0], "fails", strict, p)
        unsure = [group for group in self.groups if self._side(group, level) != "holds"]
        worst = max(unsure or self.groups, key=lambda g: _or_one(stats.p_of_region(g.effect, *self.claim.region())))
        return self._shown(worst, "undecided" if unsure else "holds", level, p)

    def _side(self, group: Group, level: float) -> Outcome:
        low, high = group.effect.interval(level)
        floor, ceiling = self.claim.region()
        if math.isnan(low):
            return "undecided"
        # "Greater" wants more than no difference at all, but "between 1 and 2" is content with 1.
        inside = floor < low and high < ceiling if self.claim.strict else floor <= low and high <= ceiling
        return "holds" if inside else "fails" if high < floor or low > ceiling else "undecided"

    def _shown(self, group: Group, verdict: Outcome, level: float, p: float) -> Verdict:
        effect = group.effect
        low, high = effect.interval(level)
        reason = "one replicate has no interval" if math.isnan(low) else f"where {group.name}" if group.name else ""
        more = None
        if verdict == "undecided":
            raw = stats.p_of_region(effect, *self.claim.region())
            more = sequential.more_needed(effect, raw, level)
        return Verdict(self.claim, verdict, reason, effect.value, low, high, level, p, effect.count, more)


def _or_one(p: float) -> float:
    return 1.0 if math.isnan(p) else p


def verdicts(run: Run) -> list[Verdict]:
    """One for each claim, in the order of the sweep."""
    return [judged.verdict for judged in judge(run)]


@dataclass(frozen=True)
class Judged:
    """A verdict, and what a sequential confirmation has to know of it."""

    verdict: Verdict
    cells: Sequence[str]
    looks: Looks
    raw_p: float  # at the last look, before any correction
    alpha: float  # of the claim, all looks together


def judge(run: Run) -> list[Judged]:
    evidence, claims = Evidence(run), claims_of(run.lock)
    taken = [looks(run, evidence.cells(claim)) for claim in claims]
    seen = [
        "simulated: nothing was trained" if run.simulated else _seen(evidence, claim, its.cutoffs)
        for claim, its in zip(claims, taken, strict=True)
    ]
    p = [_p(look, its) for look, its in zip(seen, taken, strict=True)]
    levels, adjusted = stats.holm_levels(p), stats.holm(p)
    found = []
    for claim, its, look, level, one in zip(claims, taken, seen, levels, adjusted, strict=True):
        alpha = 1 - level
        verdict = _verdict(claim, look, its, alpha, one)
        raw = math.nan if isinstance(look, str) or look[-1] is None else look[-1].p
        found.append(Judged(verdict, evidence.cells(claim), its, raw, alpha))
    return found


def _seen(evidence: Evidence, claim: Claim, cutoffs: Sequence[float]) -> list[Look | None] | str:
    """The evidence at every look; None at one that cannot be judged. Why not, if the last one cannot be judged."""
    found: list[Look | None] = []
    reason = ""
    for before in cutoffs:
        try:
            found.append(Look(claim, evidence.groups(claim, before)))
            reason = ""
        except UntestableError as error:
            found.append(None)
            reason = str(error)
    return reason or found


def _p(seen: list[Look | None] | str, taken: Looks) -> float:
    if isinstance(seen, str):
        return math.nan
    return sequential.p_value([math.nan if look is None else look.p for look in seen], taken.fractions)


def _verdict(claim: Claim, seen: list[Look | None] | str, taken: Looks, alpha: float, p: float) -> Verdict:
    """The first look that decides, or else the last one."""
    if isinstance(seen, str):
        return Verdict(claim, "untestable", seen)
    levels = [1 - one for one in sequential.levels(taken.fractions, alpha)]
    found = [look.verdict(level, p) for look, level in zip(seen, levels, strict=True) if look]
    return next((verdict for verdict in found if verdict.verdict != "undecided"), found[-1])

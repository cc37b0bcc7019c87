"""The looks that a run was given: at how many seeds its claims were judged, of how many at most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.frames import Run
from analysis.records import CONFIRM_SEED, CONFIRM_SEEDS


@dataclass(frozen=True)
class Looks:
    """The looks at one claim.

    Attributes:
        seeds: how many confirm seeds there were at each of them; empty if the design is not sequential.
        most: the limit of seeds; 0 if there is none.
    """

    seeds: tuple[int, ...] = ()
    most: int = 0

    @property
    def fractions(self) -> tuple[float, ...]:
        return tuple(seeds / self.most for seeds in self.seeds) if self.seeds else (1.0,)

    @property
    def cutoffs(self) -> tuple[float, ...]:
        """The seed that each look ends before."""
        return tuple(CONFIRM_SEED + float(seeds) for seeds in self.seeds) if self.seeds else (math.inf,)


def looks(run: Run, cells: Sequence[str]) -> Looks:
    """The looks at a claim about these cells: a new one when the last of them has got more seeds.

    Before `assay confirm` there is only the first one, of a sweep that declares how many seeds it may take.
    """
    given = dict.fromkeys(cells, 0)
    seen: list[int] = []
    most = 0
    for cell, seeds, limit in zip(run.looks["cell"], run.looks["seeds"], run.looks["most"], strict=True):
        if cell in given:
            given[cell] = max(given[cell], int(seeds))
            most = int(limit)
            if (now := min(given.values())) > (seen[-1] if seen else 0):
                seen.append(now)
    return Looks(tuple(seen), most) if most else _first(run)


def _first(run: Run) -> Looks:
    seeds = run.lock.get("seeds") or {}
    most = seeds.get("confirm_at_most")
    return Looks((seeds.get("confirm", CONFIRM_SEEDS),), most) if most else Looks()

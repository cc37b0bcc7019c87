"""What happened in a run so far, cell by cell, and how long the rest will take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.api import Outcome

PHASES = ("tune", "confirm")
FINAL = (Outcome.DONE, Outcome.PRUNED, Outcome.DIVERGED, Outcome.FAILED)


@dataclass(frozen=True)
class CellTotals:
    """How many trials a cell is planned to have."""

    tune: int
    confirm: int

    def of(self, phase: str) -> int:
        return self.confirm if phase == "confirm" else self.tune


def _phases() -> Counter[str]:
    return Counter(dict.fromkeys(PHASES, 0))


def _outcomes() -> Counter[Outcome]:
    return Counter(dict.fromkeys(Outcome, 0))


@dataclass
class CellTally:
    """One cell. Its counters have all their keys from the start, since the display reads them from another thread."""

    name: str
    totals: CellTotals
    running: Counter[str] = field(default_factory=_phases)
    final: Counter[str] = field(default_factory=_phases)
    outcomes: Counter[Outcome] = field(default_factory=_outcomes)
    seconds: float = 0.0  # of the trials that ended while we watched
    num_timed: int = 0  # how many these are
    changed: float = -math.inf
    value: float | None = None  # of the best point
    point: Mapping[str, Any] = field(default_factory=dict)

    def planned(self, phase: str) -> int:
        """A Pareto front confirms several points, which is more than was planned."""
        return max(self.totals.of(phase), self.final[phase] + self.running[phase])

    @property
    def remaining(self) -> int:
        return sum(self.planned(phase) - self.final[phase] for phase in PHASES)

    @property
    def tuned(self) -> bool:
        return self.final["tune"] >= self.totals.tune


class Tally:
    """All cells of a run. ``now`` is in seconds, on a clock that only grows."""

    def __init__(self, cells: Mapping[str, CellTotals], now: float) -> None:
        self.cells = {name: CellTally(name, totals) for name, totals in cells.items()}
        self.began, self._first_start = now, math.nan
        self._peak = 0  # trials at a time
        self.num_reports = 0

    def started(self, cell: str, phase: str, now: float) -> None:
        if math.isnan(self._first_start):
            self._first_start = now
        self.cells[cell].running[phase] += 1
        self.cells[cell].changed = now
        self._peak = max(self._peak, self.running())

    def ended(self, cell: str, phase: str, outcome: Outcome, seconds: float, now: float) -> None:
        """An attempt ended. One that never started here ended in an earlier life of the run, and is not timed."""
        found = self.cells[cell]
        watched = found.running[phase] > 0
        if watched:
            found.running[phase] -= 1
            found.changed = now
        if outcome in FINAL:
            found.final[phase] += 1
            found.outcomes[outcome] += 1
            found.num_timed += watched
            found.seconds += seconds * watched

    def sum(self, number: Callable[[CellTally], int]) -> int:
        return sum(number(cell) for cell in self.cells.values())

    def running(self) -> int:
        return self.sum(lambda cell: cell.running.total())

    def final(self) -> int:
        return self.sum(lambda cell: cell.final.total())

    def planned(self) -> int:
        return self.sum(lambda cell: cell.final.total() + cell.remaining)

    def per_minute(self, now: float) -> float | None:
        """Trials that ended while we watched, over the time since the first of them started."""
        num_timed, elapsed = self.sum(lambda cell: cell.num_timed), now - self._first_start
        return 60 * num_timed / elapsed if num_timed and elapsed > 0 else None

    def left_s(self) -> float | None:
        """Remaining trials at the mean time of their cell, or else of all, divided by how many run at a time."""
        num_timed, remaining = self.sum(lambda cell: cell.num_timed), self.sum(lambda cell: cell.remaining)
        if not remaining:
            return 0.0
        if not num_timed:
            return None
        mean = sum(cell.seconds for cell in self.cells.values()) / num_timed
        each = (c.remaining * (c.seconds / c.num_timed if c.num_timed else mean) for c in self.cells.values())
        return sum(each) / min(self._peak, remaining)

    def best(self, goal: str) -> CellTally | None:
        """The cell with the best value of all."""
        known = [cell for cell in self.cells.values() if cell.value is not None]
        sign = 1 if goal == "maximize" else -1
        return max(known, key=lambda cell: sign * (cell.value or 0.0), default=None)

    def most_active(self, room: int) -> tuple[list[CellTally], list[CellTally]]:
        """At most ``room`` cells, those with running trials and the latest news, in the order of the file; the rest."""
        cells = list(self.cells.values())
        by_activity = sorted(cells, key=lambda cell: (cell.running.total(), cell.changed), reverse=True)
        active = {cell.name for cell in by_activity[:room]}
        return [c for c in cells if c.name in active], [c for c in cells if c.name not in active]


def outcomes(cells: Iterable[CellTally]) -> Counter[Outcome]:
    return sum((cell.outcomes for cell in cells), Counter[Outcome]())

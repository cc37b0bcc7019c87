"""The live view of a run: a table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trainables.api import Outcome

PLAIN_EVERY_S = 10.0
REFRESH_PER_S = 2.0
_FINAL = (Outcome.DONE, Outcome.PRUNED, Outcome.DIVERGED, Outcome.FAILED)
_AROUND_TABLE = 7  # lines that are not rows of cells
_WIDE = 100  # columns; a narrower terminal shows no points


@dataclass(frozen=True)
class CellTotals:
    """How many trials a cell is planned to have."""

    tune: int
    confirm: int

    def of(self, phase: str) -> int:
        return self.confirm if phase == "confirm" else self.tune


@dataclass
class _Cell:
    """What happened to one cell so far."""

    name: str
    totals: CellTotals
    running: Counter[str] = field(default_factory=Counter)  # by phase
    final: Counter[str] = field(default_factory=Counter)  # by phase
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: float = 0.0  # of the trials that ended while we watched
    timed: int = 0  # how many these are
    changed: float = -math.inf
    value: float | None = None
    point: str = ""

    def planned(self, phase: str) -> int:
        """A Pareto front confirms several points, more than was planned."""
        return max(self.totals.of(phase), self.final[phase] + self.running[phase])

    @property
    def remaining(self) -> int:
        return sum(self.planned(phase) - self.final[phase] for phase in ("tune", "confirm"))


class Progress:
    """Shows a run from its start to its end, as a context manager.

    Args:
        sweep: its name.
        cells: id -> how many trials it will have.
        objective: metric and goal, ``maximize`` or ``minimize``.
        console: where to; standard output by default.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        sweep: str,
        cells: Mapping[str, CellTotals],
        objective: tuple[str, str],
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sweep, (self._metric, self._goal) = sweep, objective
        self._cells = {name: _Cell(name, totals) for name, totals in cells.items()}
        self._console, self._clock = console or Console(), clock
        self._began, self._first_start = clock(), math.nan
        self._peak = self._num_reports = 0
        self._last_line = self._began
        self._lines: deque[str] = deque()
        self._printing = False
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=REFRESH_PER_S,
            vertical_overflow="crop",
        )

    # --- what happens -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live.is_started:
            self._live.stop()
        else:
            self.message(self._line())

    def started(self, cell: str, phase: str) -> None:
        now, found = self._clock(), self._cells[cell]
        self._first_start = now if math.isnan(self._first_start) else self._first_start
        found.running[phase] += 1
        found.changed = now
        self._peak = max(self._peak, self._sum(lambda c: c.running.total()))
        self._maybe_line()

    def ended(self, cell: str, phase: str, outcome: Outcome, seconds: float) -> None:
        """An attempt ended. One that never started here ended in an earlier life of the run, and is not timed."""
        found = self._cells[cell]
        watched = found.running[phase] > 0
        found.running[phase] -= watched
        found.changed = self._clock() if watched else found.changed
        if outcome in _FINAL:
            found.final[phase] += 1
            found.outcomes[outcome] += 1
            found.timed += watched
            found.seconds += seconds * watched
        if watched and phase == "tune" and found.final["tune"] == found.totals.tune and not self._live.is_started:
            self.message(f"{cell}: tuned, {self._best_of(found)}")
        self._maybe_line()

    def best(self, cell: str, value: float, point: Mapping[str, Any]) -> None:
        """The best point of a cell so far."""
        self._cells[cell].value, self._cells[cell].point = value, _point(point)

    def reports(self, n: int) -> None:
        self._num_reports += n
        self._maybe_line()

    def message(self, text: str) -> None:
        """Print a line that stays. May be called from a signal handler, also in the middle of another message."""
        self._lines.append(text)
        if self._printing:
            return
        self._printing = True
        try:
            while self._lines:
                self._console.print(Text(self._lines.popleft()), soft_wrap=True)
        finally:
            self._printing = False

    # --- what that amounts to -----------------------------------------------------------------------------------------

    def _sum(self, number: Callable[[_Cell], int], cells: Iterable[_Cell] | None = None) -> int:
        return sum(number(cell) for cell in (self._cells.values() if cells is None else cells))

    def _per_minute(self) -> float | None:
        """Trials that ended while we watched, over the time since the first of them started."""
        timed, elapsed = self._sum(lambda c: c.timed), self._clock() - self._first_start
        return 60 * timed / elapsed if timed and elapsed > 0 else None

    def _left_s(self) -> float | None:
        """Remaining trials at the mean time of their cell, or of all, divided by how many run at a time."""
        timed, remaining = self._sum(lambda c: c.timed), self._sum(lambda c: c.remaining)
        if not timed or not remaining:
            return None if remaining else 0.0
        mean = sum(cell.seconds for cell in self._cells.values()) / timed
        each = (c.remaining * (c.seconds / c.timed if c.timed else mean) for c in self._cells.values())
        return sum(each) / min(self._peak, remaining)

    def _best_cell(self) -> _Cell | None:
        known = [cell for cell in self._cells.values() if cell.value is not None]
        sign = 1 if self._goal == "maximize" else -1
        return max(known, key=lambda cell: sign * (cell.value or 0.0), default=None)

    # --- as a line ----------------------------------------------------------------------------------------------------

    def _maybe_line(self) -> None:
        if not self._live.is_started and self._clock() - self._last_line >= PLAIN_EVERY_S:
            self._last_line = self._clock()
            self.message(self._line())

    def _line(self) -> str:
        best = self._best_cell()
        return ", ".join(
            part
            for part in (
                f"{self._sweep}: {self._summary()}",
                f"{self._sum(lambda c: c.running.total())} running",
                f"best {best.name}: {self._best_of(best)}" if best else "",
                self._times(),
            )
            if part
        )

    def _summary(self) -> str:
        final, all_ = self._sum(lambda c: c.final.total()), self._sum(lambda c: c.final.total() + c.remaining)
        troubles = _troubles(self._cells.values())
        return f"{final}/{all_} trials" + (f" ({troubles})" if troubles else "")

    def _times(self) -> str:
        rate = self._per_minute()
        elapsed, left = _duration(self._clock() - self._began), _duration(self._left_s())
        return f"{'-' if rate is None else f'{rate:.3g}'} trials/min, {elapsed} elapsed, {left} left"

    def _best_of(self, cell: _Cell) -> str:
        if cell.value is None:
            return "no point has a value"
        return f"{self._metric} {cell.value:.4g}" + (f" at {cell.point}" if cell.point else "")

    # --- as a table ---------------------------------------------------------------------------------------------------

    def _render(self) -> Group:
        bar = ProgressBar(
            total=max(1, self._sum(lambda c: c.final.total() + c.remaining)),
            completed=self._sum(lambda c: c.final.total()),
            width=max(10, min(40, self._console.width // 3)),
        )
        head = Table.grid(padding=(0, 1))
        head.add_row(Text(self._sweep, style="bold"), bar, Text(self._summary()))
        times = Text(f"{self._times()}, {self._num_reports} reports", style="dim")
        return Group(head, times, self._table())

    def _table(self) -> Table:
        wide = self._console.width >= _WIDE
        table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
        table.add_column("cell", ratio=3, no_wrap=True, overflow="ellipsis")
        for name in ("tune", "confirm", "running"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("ended early", ratio=2, no_wrap=True, overflow="ellipsis")
        table.add_column(Text(f"best {self._metric}"), ratio=2, no_wrap=True, overflow="ellipsis", justify="right")
        if wide:
            table.add_column("at", ratio=4, no_wrap=True, overflow="ellipsis")
        shown, hidden = self._rows()
        for cell in shown:
            table.add_row(*self._row(cell.name, [cell])[: 7 if wide else 6])
        if hidden:
            table.add_row(*self._row(f"{len(hidden)} more cells", hidden)[: 7 if wide else 6], style="dim")
        return table

    def _rows(self) -> tuple[list[_Cell], list[_Cell]]:
        """The cells that fit, the most active ones, in the order of the file; and the rest."""
        cells, room = list(self._cells.values()), max(1, self._console.height - _AROUND_TABLE)
        if len(cells) <= room:
            return cells, []
        by_activity = sorted(cells, key=lambda c: (c.running.total(), c.changed), reverse=True)
        active = {cell.name for cell in by_activity[: room - 1]}
        return [c for c in cells if c.name in active], [c for c in cells if c.name not in active]

    def _row(self, name: str, cells: Sequence[_Cell]) -> list[Text]:
        def progress(phase: str) -> Text:
            final, planned = self._sum(lambda c: c.final[phase], cells), self._sum(lambda c: c.planned(phase), cells)
            return Text(f"{final}/{planned}", style="green" if final == planned else "")

        running = self._sum(lambda c: c.running.total(), cells)
        alone = cells[0] if len(cells) == 1 else None
        value = alone.value if alone else None
        return [
            Text(name),
            progress("tune"),
            progress("confirm"),
            Text(str(running) if running else "-"),
            Text(_troubles(cells), style="red"),
            Text("-" if value is None else f"{value:.4g}", style="bold"),
            Text(alone.point if alone else ""),
        ]


def _troubles(cells: Iterable[_Cell]) -> str:
    outcomes = sum((cell.outcomes for cell in cells), Counter[Outcome]())
    found = (Outcome.FAILED, Outcome.DIVERGED, Outcome.PRUNED)
    return ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in found if outcomes[outcome])


def _point(point: Mapping[str, Any]) -> str:
    """``lr=0.01 momentum=0.9``: the last part of each name, the whole of it where that is not enough."""
    shared = Counter(name.rsplit(".", 1)[-1] for name in point)

    def one(name: str, value: Any) -> str:
        short = name.rsplit(".", 1)[-1]
        return f"{short if shared[short] == 1 else name}={f'{value:.3g}' if isinstance(value, float) else value}"

    return " ".join(one(name, value) for name, value in point.items())


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))

"""The live view of a run: a table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.console import PlainConsole
from sweeps.tally import CellTally, CellTotals, Tally, outcomes
from trainables.api import Outcome

__all__ = ["CellTotals", "Progress"]

PLAIN_EVERY_S = 10.0
REFRESH_PER_S = 2.0
_SHORT_OF_DONE = (Outcome.FAILED, Outcome.DIVERGED, Outcome.PRUNED)
_AROUND_ROWS = 8  # lines of the terminal that hold no cell
_WIDE, _USUAL = 100, 80  # columns of the terminal: from the first on with points, below the second with less


class Progress:
    """Shows a run from its start to its end, as a context manager.

    Args:
        sweep: its name.
        cells: id -> how many trials it will have.
        objective: metric and goal, ``maximize`` or ``minimize``.
        console: where to; standard output by default.
        clock: seconds that only grow, of the times that are shown.
        pace: seconds that only grow, of whoever looks at it.
    """

    def __init__(
        self,
        sweep: str,
        cells: Mapping[str, CellTotals],
        objective: tuple[str, str],
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        pace: Callable[[], float] | None = None,
    ) -> None:
        self._sweep, (self._metric, self._goal) = sweep, objective
        self._console, self._clock = console or PlainConsole(), clock
        self._tally = Tally(cells, clock())
        self._pace = pace or clock
        self._last_line = self._pace()
        self._lines: deque[str] = deque()
        self._printing = False
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=REFRESH_PER_S)

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
        self._tally.started(cell, phase, self._clock())
        self._line_now_and_then()

    def ended(self, cell: str, phase: str, outcome: Outcome, seconds: float) -> None:
        """An attempt ended; without ``started``, it did so in an earlier life of the run."""
        found = self._tally.cells[cell]
        tuned = found.tuned
        self._tally.ended(cell, phase, outcome, seconds, self._clock())
        if found.tuned and not tuned and not self._live.is_started:
            self.message(f"{cell}: tuned")
        self._line_now_and_then()

    def best(self, cell: str, value: float, point: Mapping[str, Any]) -> None:
        """The best point of a cell so far."""
        self._tally.cells[cell].value, self._tally.cells[cell].point = value, point

    def reports(self, n: int) -> None:
        self._tally.num_reports += n
        self._line_now_and_then()

    def message(self, text: str) -> None:
        """Print a line that stays. May be called from a signal handler, even in the middle of another message."""
        self._lines.append(text)
        if self._printing:
            return
        self._printing = True
        try:
            while self._lines:
                self._console.print(Text(self._lines.popleft()), soft_wrap=True)
        finally:
            self._printing = False

    # --- as a line ----------------------------------------------------------------------------------------------------

    def _line_now_and_then(self) -> None:
        if not self._live.is_started and self._pace() - self._last_line >= PLAIN_EVERY_S:
            self._last_line = self._pace()
            self.message(self._line())

    def _line(self) -> str:
        parts = [self._count(), f"{self._tally.running()} running", self._times()]
        if best := self._tally.best(self._goal):
            at = f" at {_point(best.point)}" if best.point else ""
            parts.append(f"best {self._metric} {best.value:.4g} in {best.name}{at}")
        return f"{self._sweep}: " + ", ".join(parts)

    def _count(self) -> str:
        counts = outcomes(self._tally.cells.values())
        short = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in _SHORT_OF_DONE if counts[outcome])
        return f"{self._tally.final()}/{self._tally.planned()} trials" + (f" ({short})" if short else "")

    def _times(self) -> str:
        now = self._clock()
        rate, left = self._tally.per_minute(now), self._tally.left_s()
        return (
            f"{'-' if rate is None else _rate(rate)} trials/min, {_duration(now - self._tally.began)} elapsed, "
            f"{'-' if left is None else _duration(left)} left"
        )

    # --- as a table ---------------------------------------------------------------------------------------------------

    def _render(self) -> Group:
        head = Text(f"{self._sweep}: {self._goal} {self._metric}", style="bold", no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=max(1, self._tally.planned()), completed=self._tally.final(), width=20)
        line = Table.grid(padding=(0, 1))
        line.add_column()
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(bar, Text(self._count()))
        times = Text(f"{self._times()}, {self._tally.num_reports} reports", no_wrap=True, overflow="ellipsis")
        return Group(head, line, times, self._table())

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
        wide = self._console.width >= _WIDE
        most, ratio = (self._console.width // 3, None) if wide else (None, 1)
        table.add_column("cell", max_width=most, ratio=ratio, no_wrap=True, overflow="ellipsis")
        for name in self._numbers([]):
            table.add_column(name, justify="right", no_wrap=True)
        if wide:
            table.add_column("at", ratio=1, no_wrap=True, overflow="ellipsis")
        room = max(1, self._console.height - _AROUND_ROWS)
        shown, hidden = self._tally.most_active(room if len(self._tally.cells) <= room else room - 1)
        for cell in shown:
            table.add_row(Text(cell.name), *self._numbers([cell]).values(), *self._point(cell))
        if hidden:
            table.add_row(Text(f"{len(hidden)} more cells"), *self._numbers(hidden).values(), style="dim")
        return table

    def _numbers(self, cells: Sequence[CellTally]) -> dict[str, Text]:
        """The columns between the first and the last, for one cell or the sum of some."""
        counts, value = outcomes(cells), cells[0].value if len(cells) == 1 else None
        columns = {"tune": _share(cells, "tune"), "confirm": _share(cells, "confirm")}
        if self._console.width >= _USUAL:
            columns |= {
                "running": _number(sum(cell.running.total() for cell in cells)),
                "failed": _number(counts[Outcome.FAILED] + counts[Outcome.DIVERGED], style="red"),
                "pruned": _number(counts[Outcome.PRUNED]),
            }
        return columns | {"best": Text("-" if value is None else f"{value:.4g}", style="bold")}

    def _point(self, cell: CellTally) -> list[Text]:
        return [Text(_point(cell.point))] if self._console.width >= _WIDE else []


def _share(cells: Sequence[CellTally], phase: str) -> Text:
    final, planned = sum(c.final[phase] for c in cells), sum(c.planned(phase) for c in cells)
    return Text(f"{final}/{planned}", style="green" if final == planned else "")


def _number(count: int, style: str = "") -> Text:
    return Text(str(count), style=style) if count else Text("-")


def _point(point: Mapping[str, Any]) -> str:
    """``lr=0.01 momentum=0.9``: the last part of each name, or all of it where two are alike."""
    alike = Counter(name.rsplit(".", 1)[-1] for name in point)
    short = {name: last if alike[last := name.rsplit(".", 1)[-1]] == 1 else name for name in point}
    return " ".join(f"{short[n]}={f'{v:.3g}' if isinstance(v, float) else v}" for n, v in point.items())


def _rate(per_minute: float) -> str:
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.3g}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))

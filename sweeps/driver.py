"""Stands between the search and the backend: makes orders, counts time, keeps the ledger and the display up to date."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from analysis.records import LOCK_FILE
from cluster.failures import UNSEEN, Loss
from cluster.work import Ending, Idle, Report
from sweeps.disk import Budget, rule
from sweeps.ledger import LedgerSink, RunError
from sweeps.objective import watched
from sweeps.planner import Planned
from sweeps.progress import Progress
from sweeps.search import Search
from sweeps.spec import Sweep
from sweeps.tensorboard import Board, hparams
from trainables.api import Cause, Metrics, Order, Outcome, Sink, Stage

_SAME_FAILURES = 5  # that end a sweep in which nothing has succeeded


@dataclass(frozen=True)
class _Sinks:
    """One attempt's ledger and TensorBoard; the ledger first, for it is the source of truth."""

    sinks: tuple[Sink, ...]

    def report(self, step: int, metrics: Metrics) -> None:
        for sink in self.sinks:
            sink.report(step, metrics)

    def image(self, tag: str, step: int, png: bytes) -> None:
        for sink in self.sinks:
            sink.image(tag, step, png)

    def note(self, key: str, value: object) -> None:
        for sink in self.sinks:
            sink.note(key, value)

    def sync(self) -> None:
        for sink in self.sinks:
            sink.sync()

    def close(self, outcome: Outcome) -> None:
        for sink in self.sinks:
            sink.close(outcome)


@dataclass(frozen=True)
class OpenSinks:
    """Opens what an attempt writes to, in the process that runs it."""

    run: Path

    def __call__(self, order: Order) -> Sink:
        if not (self.run / LOCK_FILE).exists():  # else the reports would go to a folder that nobody ever reads
            raise RunError(f"{platform.node()} {UNSEEN} {self.run}")
        labels = order.labels
        board = Board(
            self.run / "tensorboard" / labels["cell"] / order.trial,
            group=f"{labels['cell']}:{labels['point']}:{labels['phase']}",
            hparams=labels["hparams"],
            attempt=order.attempt,
        )
        return _Sinks((LedgerSink(self.run, order), board))


class Driver:
    """The ``Source`` of a run."""

    def __init__(
        self,
        sweep: Sweep,
        run: Path,
        search: Search,
        progress: Progress,
        search_path: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sweep, self.run, self.search, self.progress = sweep, run.resolve(), search, progress
        self.search_path, self._clock = search_path.resolve(), clock
        self.stopping = False
        self.gave_up = ""  # why, if the driver itself asked for the end
        self._cells = {cell.id: cell for cell in search.cells}
        self._keep, self._budget = rule(sweep), Budget(sweep, self.run, progress.message)
        self._planned: dict[str, Planned] = {}  # the trials in flight
        self._since: dict[str, float] = {}
        self._failures: dict[str, set[str]] = {}  # trials by the reason for which they have failed
        self._reported: set[str] = set()  # trials, until one is done
        self._succeeded = any(outcome == Outcome.DONE for _, outcome in search.finished())

    @property
    def judges_reports(self) -> bool:
        return self.search.judges_reports

    def next(self) -> Order | Idle:
        if self.stopping:
            return Idle.FINISHED
        planned = self.search.next()
        return planned if isinstance(planned, Idle) else self._give(planned)

    def alike(self, trial: str, most: int, sharing: int = 1, idle: int = 1) -> Sequence[Order]:
        group = [] if self.stopping else self.search.alike(self._planned[trial], most, sharing, idle)
        return [self._give(planned) for planned in group]

    def _give(self, planned: Planned) -> Order:
        self._planned[planned.trial] = planned
        self._since[planned.trial] = self._clock()
        return self._order(planned, self.search.started(planned.trial))

    def _order(self, planned: Planned, attempt: int) -> Order:
        resources = self.sweep.resources
        return Order(
            trial=planned.trial,
            trainable=self.sweep.trainable,
            config=planned.config,
            seed=planned.seed,
            attempt=attempt,
            folder=str(self.run / "trials" / planned.trial),
            store=str(self.run / "artifacts"),
            objectives=watched(self.sweep),
            threads=max(1, int(resources.cpus)),
            gpus=self.search.gpus(planned.trial),
            workers=resources.workers,
            keep=self._keep,
            keep_checkpoint=planned.phase == "confirm" or self.sweep.checkpoints.of == "all",
            stages=tuple(Stage(c, until, self._milestone(trial, until)) for c, until, trial in planned.earlier),
            milestones=str(self._milestones / planned.trial),
            milestone_steps=self.sweep.scheduler.interval_steps if self.sweep.scheduler.name == "pbt" else 0,
            search_path=str(self.search_path),
            shape=planned.shape,
            most=self.search.most_together(planned.trial),
            labels={
                "cell": planned.cell,
                "point": planned.point_id,
                "phase": planned.phase,
                "hparams": hparams(self.sweep, self._cells[planned.cell], planned.point, planned.phase),
            },
        )

    @property
    def _milestones(self) -> Path:
        return self.run / "milestones"

    def _milestone(self, trial: str, step: int) -> str:
        return str(self._milestones / trial / f"checkpoint-{step}.pt")

    def started(self, trial: str) -> None:
        self._since[trial] = self._clock()
        self.progress.started(self._planned[trial].cell, self._planned[trial].phase)

    def reported(self, trial: str, reports: Sequence[Report]) -> bool:
        self.progress.reports(len(reports))
        if not self._succeeded:
            self._reported.add(trial)
        self._budget.look(self._phases)
        return self.search.reported(trial, reports)

    def ended(self, trial: str, ending: Ending) -> None:
        planned, since = self._planned.pop(trial), self._since.pop(trial)
        seconds = self._clock() - since if ending.seconds is None else ending.seconds
        ending = self.search.ended(trial, ending, seconds)
        self.progress.ended(planned.cell, planned.phase, ending.outcome, seconds)
        self._show_best(planned)
        self._budget.look(self._phases)
        self._succeeded |= ending.outcome == Outcome.DONE
        if self._is_failure(trial, ending):
            self._count_failure(planned, ending)

    def _is_failure(self, trial: str, ending: Ending) -> bool:
        """A process that dies before the first report of its only trial says as much as an error."""
        early = ending.outcome == Outcome.LOST and trial not in self._reported
        return ending.outcome == Outcome.FAILED or (early and Loss(ending.cause, ending.suspects).counts)

    def _phases(self) -> dict[str, str]:
        return {planned.trial: planned.phase for planned, _ in self.search.finished()}

    def _show_best(self, planned: Planned) -> None:
        study = self.search.studies[planned.cell]
        if planned.phase == "tune" and study.best is not None:
            self.progress.best(planned.cell, study.told[study.best].values[0], study.asked[study.best])

    def _count_failure(self, planned: Planned, ending: Ending) -> None:
        trials = self._failures.setdefault(reason_of(ending), set())
        if not trials:
            what = f"trial {planned.trial} ({planned.cell})"
            lost = " has lost its process, and will run again" if ending.outcome == Outcome.LOST else " failed"
            self.progress.message(f"{what}{lost}: {_last_line(ending.error)}")
        trials.add(planned.trial)
        if len(trials) >= _SAME_FAILURES and not self._succeeded and not self.stopping:
            self.stopping = True
            self.gave_up = f"the first {_SAME_FAILURES} trials failed for the same reason:\n{ending.error.strip()}"

    def stop(self) -> None:
        self.stopping = True

    def finish(self) -> None:
        """Called when nothing runs any more."""
        self._budget.look(self._phases, now=True)


def reason_of(ending: Ending) -> str:
    """What failures of one kind have in common: no numbers, no addresses; nothing of what Ray says of a process."""
    if ending.cause not in (Cause.NONE, Cause.ERROR):
        return ending.cause.value
    return re.sub(r"0x[0-9a-f]+|[-+]?\d[\d.]*(e[-+]?\d+)?", "#", _last_line(ending.error))


def _last_line(error: str) -> str:
    return (error.strip().splitlines() or ["no reason given"])[-1]


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for the end once; a second one ends the process at once. Only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        say("stopping: running trials finish what they report; press Ctrl-C again to leave at once")
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

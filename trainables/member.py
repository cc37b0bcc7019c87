"""One trial in the process that runs it: what it is told, what it reports, what it leaves behind."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from trainables import checkpoint, pictures
from trainables.api import Cause, Diverged, Ending, Metrics, Order, Outcome, Sink, State
from trainables.artifacts import artifact, digest
from trainables.checkpoint import CheckpointError, load_file, plain, save
from trainables.endings import ending_of
from trainables.nearby import nearby
from trainables.reading import ReportError, read_report
from trainables.seeding import Streams


class Context:
    """The ``Trial`` that a trainable is given."""

    def __init__(self, order: Order, sink: Sink, *, rank: int, world_size: int, pulse: Callable[[], None]) -> None:
        self.id, self.seed = order.trial, order.seed
        self.device = "cuda" if order.gpus > 0 else "cpu"
        self.rank, self.world_size = rank, world_size
        self.streams = Streams(order.seed)
        self.restored: State | None = None
        self.wanted = True
        self.finished = False
        self.offered: Callable[[], State] | None = None
        self.pictures: list[tuple[str, bytes]] = []
        self.pulse = pulse
        self._sink, self._store = sink, order.store

    def begin(self, restored: State | None) -> None:
        """Go on from this state, without what a run that was broken off has left."""
        self.restored, self.streams = restored, Streams(self.seed)
        self.finished, self.offered = False, None
        self.pictures.clear()

    def finish(self) -> None:
        self.finished = True

    def checkpoint(self, state: Callable[[], State]) -> None:
        self.offered = state

    def artifact(self, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """From the disk of this machine, if the store is further away."""
        folder = artifact(Path(self._store), spec, build)
        self.note(f"artifact/{folder.name[:12]}", found := digest(folder))
        return nearby(folder, found)

    def figure(self, tag: str, figure: Any) -> None:
        self.pictures.append((tag, pictures.png_of_figure(figure)))

    def image(self, tag: str, pixels: Any) -> None:
        self.pictures.append((tag, pictures.png_of_pixels(pixels)))

    def note(self, key: str, value: Any) -> None:
        if self.rank == 0:
            self._sink.note(key, value)


class Member:
    """The bookkeeping of one attempt: each report is in the sink before it is handed on.

    Of the workers of a trial only rank 0 reports, saves, and judges the metrics.
    """

    def __init__(
        self,
        order: Order,
        open_sink: Callable[[Order], Sink],
        rank: int,
        world_size: int,
        pulse: Callable[[], None],
    ) -> None:
        self.order = order
        self._context = partial(Context, order, rank=rank, world_size=world_size, pulse=pulse)
        self.step = -1  # of the last report that is in the sink
        self.seconds = 0.0  # that it has taken in this process
        self.most = math.inf  # members that it may be grouped with
        self.verdict: Ending | None = None  # how the last report makes it end
        self.ending: Ending | None = None
        self._open_sink, self._leads = open_sink, rank == 0
        self._opened = False
        self._folder = Path(order.folder) if order.folder else None  # of the checkpoints
        self._seen: set[str] = set()
        self._at = -1  # the step that it is at; below ``step`` while it repeats what it has reported
        self._offer: Callable[[], State] | None = None  # of the last report, until it is saved
        self._state: Callable[[], State] | None = None  # of the last report
        self._value: float | None = None  # by which the best states are kept, in the last report
        self._damaged: list[str] = []  # files of states that could not be used

    def open(self) -> None:
        """Begin, or go on: not before it is its turn, for a sink may hold files open."""
        if not self._opened:
            self._opened = True
            self._sink = self._open_sink(self.order)
            self.trial = self._context(self._sink)
            self.rewind()

    # --- where it stands ----------------------------------------------------------------------------------------------

    def rewind(self) -> None:
        """Go back to the newest state of this trial on disk, of those that others have left, or to the beginning."""
        others = (load_file(stage.until_step, stage.checkpoint) for stage in reversed(self.order.stages))
        found = checkpoint.find(self._folder) if self._folder else checkpoint.Found()
        saved = found.saved or next((other for other in others if other), None)
        self._at = saved.step if saved else -1
        self.trial.begin(saved.state if saved else None)
        self.step = max(self.step, self._at)
        self._offer = self._state = None
        self._damaged = list(found.damaged)
        if found.damaged:
            self.trial.note("damaged_checkpoint", {"files": found.damaged, "went_on_from_step": max(self._at, 0)})

    @property
    def stage(self) -> tuple[Mapping[str, Any], float]:
        """The config that it is trained with now, and the step up to which it is."""
        whole = [(stage.config, stage.until_step) for stage in self.order.stages]
        return next((c, until) for c, until in [*whole, (self.order.config, math.inf)] if until > self._at)

    def has_come_to(self, until: float) -> bool:
        """Whether another config takes over now. Raises CheckpointError if it has no state to go on from with that."""
        if self._at >= until and self._state is None:
            raise CheckpointError(f"no checkpoint at step {self._at}, where another config takes over")
        return self._at >= until

    @property
    def may_move(self) -> bool:
        """Whether it can go on in another group with nothing to do again."""
        return self._state is not None

    def move(self) -> None:
        """Go on elsewhere: from the state it has just offered, or else from an earlier one."""
        if self._state is None:
            return self.rewind()
        self.trial.begin(plain(self._state()))
        return None

    def skip(self) -> None:
        """Its trainable went on without a report of it, so that what it has offered holds no more."""
        self._offer = self._state = None

    # --- reports ------------------------------------------------------------------------------------------------------

    def read(self, reported: Any) -> tuple[int, Metrics] | None:
        """The step and the metrics of a report; None if it says that the trial has diverged."""
        if isinstance(reported, Diverged):
            self.verdict = Ending(Outcome.DIVERGED, str(reported))
            return None
        if not self._leads:
            return self._at + 1, {}
        try:
            return read_report(reported, self._at)
        except ReportError as error:
            raise ReportError(f"{self.order.trainable}: {error}") from None

    def write(self, step: int, metrics: Metrics) -> bool:
        """Put a report into the sink; False if it is one that the sink has."""
        self._at, self._offer, self._state = step, self.trial.offered, self.trial.offered
        self.trial.offered = None
        if step <= self.step:
            self.trial.pictures.clear()
            return False
        before, self.step, self._value = self.step, step, metrics.get(self.order.keep.metric)
        if self._leads:
            self._seen.update(metrics)
            self._sink.report(step, metrics)
            self._write_pictures()
        self.verdict = self._save_at_multiples(before, step) or self._verdict_on(metrics)
        return True

    def _verdict_on(self, metrics: Metrics) -> Ending | None:
        if wild := [name for name in self.order.objectives if not math.isfinite(metrics.get(name, 0.0))]:
            return Ending(Outcome.DIVERGED, f"{wild[0]} is {metrics[wild[0]]} at step {self.step}")
        return self.exhausted() if self.trial.finished else None

    def _save_at_multiples(self, before: int, step: int) -> Ending | None:
        """Save what others may start from, and what is to be kept of every so many steps, however long that takes."""
        try:
            if self._leads and self._state and _passes(self.order.milestone_steps, before, step):
                save(Path(self.order.milestones), step, self._state(), keep=None)
            if _passes(self.order.keep.every_steps, before, step):
                self.save()
        except Exception as error:  # noqa: BLE001 - the trainable makes the state
            return self.raised(error)
        return None

    def _write_pictures(self) -> None:
        for tag, png in self.trial.pictures:
            self._sink.image(tag, max(self.step, 0), png)
        self.trial.pictures.clear()

    # --- checkpoints --------------------------------------------------------------------------------------------------

    @property
    def offers(self) -> bool:
        """Whether it has a state to save that is not on disk yet."""
        return self._offer is not None and self._folder is not None

    def save(self) -> None:
        """Save what was offered with the last report, if that is not on disk yet."""
        if self._leads and self._offer and self._folder:
            state = self._offer()
            self._drop_damaged(self._folder)
            self._sink.sync()  # a state whose reports are gone would never make them again
            save(self._folder, self._at, state, self.order.keep, self._value)
            self._offer = None

    def _drop_damaged(self, folder: Path) -> None:
        """Or they would count among those that are kept."""
        for name in self._damaged:
            checkpoint.remove(folder / name)
        self._damaged.clear()

    # --- ending -------------------------------------------------------------------------------------------------------

    def exhausted(self) -> Ending:
        """How a trainable has ended that returned. One that went on may have reported everything before."""
        names = self.order.objectives or ("any metric",) * (not self._seen)
        missing = [name for name in names if name not in self._seen]
        if missing and self._leads and self.trial.restored is None:
            reported = ", ".join(sorted(self._seen)) or "nothing"
            text = f"{self.order.trainable}: never reported {missing[0]!r}; it reported {reported}"
            return Ending(Outcome.FAILED, text, cause=Cause.ERROR)
        try:
            if self.order.keep_checkpoint:
                self.save()
        except Exception as error:  # noqa: BLE001 - the trainable makes the state
            return self.raised(error)
        return Ending(Outcome.DONE)

    def raised(self, error: BaseException) -> Ending:
        """How a trainable has ended that raised."""
        return ending_of(error, self.order.trainable)

    def close(self, outcome: Outcome, error: str = "") -> None:
        """End it between two reports. A cancelled one keeps the newest state that was offered."""
        if self.ending:
            return
        if outcome == Outcome.CANCELLED and self._opened:
            with contextlib.suppress(Exception):  # then the one before has to do
                self.save()
        self.end(Ending(outcome, error))

    def end(self, ending: Ending) -> None:
        if self.ending:
            return
        self.ending = ending
        if not self._opened:
            return
        self.trial.wanted = False
        if not self._leads:
            return
        self._write_pictures()
        kept = ending.outcome == Outcome.DONE and self.order.keep_checkpoint
        if self._folder and ending.outcome in (Outcome.DONE, Outcome.DIVERGED, Outcome.PRUNED) and not kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        elif self._folder and ending.outcome == Outcome.DONE:
            checkpoint.tidy(self._folder, self.order.keep, running=False)
        self._sink.close(ending.outcome)


def _passes(interval: int, before: int, step: int) -> bool:
    """Whether a multiple of ``interval`` lies after ``before`` and not after ``step``."""
    return bool(interval) and max(step, 0) // interval > max(before, 0) // interval

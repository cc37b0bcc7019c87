"""One attempt of one trial in this process: runs the trainable, writes its reports, keeps its checkpoints."""

from __future__ import annotations

import contextlib
import copy
import math
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from trainables import pictures, registry
from trainables.ambient import ambient
from trainables.api import Diverged, Ending, Metrics, Order, Outcome, Sink, State
from trainables.artifacts import artifact
from trainables.checkpoint import CheckpointError, Checkpoints, load_file, plain, save
from trainables.config import ConfigError
from trainables.reading import ReportError, read_report
from trainables.registry import TrainableError
from trainables.seeding import Streams

_LONGEST_TRACE = 20_000  # characters


class Context:
    """The ``Trial`` that a trainable is given."""

    def __init__(self, order: Order, sink: Sink, rank: int, world_size: int) -> None:
        self.id, self.seed = order.trial, order.seed
        self.device = "cuda" if order.gpus > 0 else "cpu"
        self.rank, self.world_size = rank, world_size
        self.streams = Streams(order.seed)
        self.restored: State | None = None
        self.offered: Callable[[], State] | None = None
        self.pictures: list[tuple[str, bytes]] = []
        self._sink, self._store = sink, order.store

    def checkpoint(self, state: Callable[[], State]) -> None:
        self.offered = state

    def artifact(self, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        return artifact(Path(self._store), spec, build)

    def figure(self, tag: str, figure: Any) -> None:
        self.pictures.append((tag, pictures.png_of_figure(figure)))

    def image(self, tag: str, pixels: Any) -> None:
        self.pictures.append((tag, pictures.png_of_pixels(pixels)))

    def note(self, key: str, value: Any) -> None:
        if self.rank == 0:
            self._sink.note(key, value)


class Attempt:
    """Iterate over its reports, as (step, metrics); each is in the sink before it is handed on.

    What the trainable raises ends the attempt and is never raised here; what the sink raises is. Of the workers of a
    trial only rank 0 reports, saves, and judges the metrics.
    """

    def __init__(self, order: Order, sink: Sink, *, rank: int = 0, world_size: int = 1) -> None:
        self.order = order
        self._sink = sink
        self._leads = rank == 0
        self._trial = Context(order, sink, rank, world_size)
        self._checkpoints = Checkpoints(order.folder)
        self._reports = self._run()
        self._step = -1  # of the last report
        self._offer: Callable[[], State] | None = None  # of the last report, until it is saved
        self._state: Callable[[], State] | None = None  # of the last report
        self._seen: set[str] = set()
        self._ending: Ending | None = None

    @property
    def over(self) -> bool:
        return self._ending is not None

    @property
    def ending(self) -> Ending:
        assert self._ending, "the attempt goes on"
        return self._ending

    @property
    def about_to_save(self) -> bool:
        """Whether it saves a checkpoint as soon as it goes on. Who counts reports should have this one by then."""
        return self._offer is not None and self._checkpoints.due

    def __iter__(self) -> Iterator[tuple[int, Metrics]]:
        return self

    def __next__(self) -> tuple[int, Metrics]:
        if self._ending:
            raise StopIteration
        try:
            if self.about_to_save:
                self._save()
            step, metrics = self._read(next(self._reports))
        except StopIteration:
            self._end(self._exhausted())
        except BaseException as error:  # noqa: BLE001 - whatever a trainable raises ends this attempt and no other
            self._end(self._raised(error))
        else:
            self._write(step, metrics)
            return step, metrics
        raise StopIteration

    def close(self, outcome: Outcome, error: str = "") -> None:
        """End the attempt between two reports. A cancelled one keeps the newest state that was offered."""
        if self._ending:
            return
        if outcome == Outcome.CANCELLED:
            with contextlib.suppress(Exception):  # then the one before has to do
                self._save()
        self._end(Ending(outcome, error))

    # --- running ---------------------------------------------------------------------------------------------------

    def _run(self) -> Generator[Metrics, None, None]:
        order = self.order
        trainable = registry.find(order.trainable, order.search_path or ".")
        with ambient(order.seed, order.threads, self._trial.rank):
            for config, until in self._stages():
                reports = trainable.run(trainable.build(copy.deepcopy(dict(config))), self._trial)
                yield from self._until(until, reports)

    def _stages(self) -> list[tuple[Mapping[str, Any], float]]:
        """The configs that are left to run, each until a step: after the newest state of this trial, or of others."""
        others = (load_file(stage.until_step, stage.checkpoint) for stage in reversed(self.order.stages))
        if saved := self._checkpoints.load() or next((other for other in others if other), None):
            self._step, self._trial.restored = saved.step, saved.state
        whole = [(stage.config, stage.until_step) for stage in self.order.stages]
        return [(c, until) for c, until in [*whole, (self.order.config, math.inf)] if until > self._step]

    def _until(self, step: float, reports: Generator[Metrics, None, None]) -> Iterator[Metrics]:
        """The reports of one stage; when it has reached ``step`` its state is handed to the next."""
        for reported in reports:
            yield reported
            if self._step >= step:
                reports.close()
                if self._state is None:
                    raise CheckpointError(f"no checkpoint at step {self._step}, where another config takes over")
                self._trial.restored = plain(self._state())
                self._trial.streams = Streams(self.order.seed)
                return

    def _read(self, reported: Any) -> tuple[int, Metrics]:
        if not self._leads:
            return self._step + 1, {}
        try:
            return read_report(reported, self._step)
        except ReportError as error:
            raise ReportError(f"{self.order.trainable}: {error}") from None

    def _write(self, step: int, metrics: Metrics) -> None:
        milestone = self._step_of_milestone(step) > self._step_of_milestone(self._step)
        self._step, self._offer, self._state = step, self._trial.offered, self._trial.offered
        self._trial.offered = None
        if not self._leads:
            return
        self._seen.update(metrics)
        self._sink.report(step, metrics)
        self._write_pictures()
        if milestone and self._state:
            save(Path(self.order.milestones), step, self._state(), keep=None)
        if wild := [name for name in self.order.objectives if not math.isfinite(metrics.get(name, 0.0))]:
            self._end(Ending(Outcome.DIVERGED, f"{wild[0]} is {metrics[wild[0]]} at step {step}"))

    def _step_of_milestone(self, step: int) -> int:
        return max(step, 0) // self.order.milestone_steps if self.order.milestone_steps else 0

    def _write_pictures(self) -> None:
        for tag, png in self._trial.pictures:
            self._sink.image(tag, max(self._step, 0), png)
        self._trial.pictures.clear()

    def _save(self) -> None:
        """Save what was offered with the last report, if that is not on disk yet."""
        if self._leads and self._offer and self._checkpoints.folder:
            self._checkpoints.save(self._step, self._offer())
            self._offer = None

    # --- ending ----------------------------------------------------------------------------------------------------

    def _exhausted(self) -> Ending:
        """How a trainable has ended that returned. One that went on may have reported everything before."""
        names = self.order.objectives or ("any metric",) * (not self._seen)
        missing = [name for name in names if name not in self._seen]
        if missing and self._leads and self._trial.restored is None:
            reported = ", ".join(sorted(self._seen)) or "nothing"
            return Ending(
                Outcome.FAILED, f"{self.order.trainable}: never reported {missing[0]!r}; it reported {reported}"
            )
        try:
            if self.order.keep_checkpoint:
                self._save()
        except Exception as error:  # noqa: BLE001 - the trainable makes the state
            return self._raised(error)
        return Ending(Outcome.DONE)

    def _raised(self, error: BaseException) -> Ending:
        match error:
            case Diverged():
                return Ending(Outcome.DIVERGED, str(error))
            case KeyboardInterrupt():
                return Ending(Outcome.CANCELLED, "interrupted")
            case TrainableError() | ReportError():
                return Ending(Outcome.FAILED, str(error))
            case ConfigError() | CheckpointError():
                return Ending(Outcome.FAILED, f"{self.order.trainable}: {error}")
        return Ending(Outcome.FAILED, _trace(error))

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        with contextlib.suppress(Exception, SystemExit):  # what a trainable raises on its way out changes nothing
            self._reports.close()
        if not self._leads:
            return
        self._write_pictures()
        kept = ending.outcome == Outcome.DONE and self.order.keep_checkpoint
        if ending.outcome in (Outcome.DONE, Outcome.DIVERGED, Outcome.PRUNED) and not kept:
            self._checkpoints.remove()
        self._sink.close(ending.outcome)


def _trace(error: BaseException) -> str:
    """The trace from where the code of the trainable begins."""
    ours = {__file__, registry.__file__}
    frame: TracebackType | None = error.__traceback__
    while frame and frame.tb_frame.f_code.co_filename in ours:
        frame = frame.tb_next
    text = "".join(traceback.format_exception(type(error), error, frame))
    return text if len(text) <= _LONGEST_TRACE else f"...{text[-_LONGEST_TRACE:]}"

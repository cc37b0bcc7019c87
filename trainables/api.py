"""The contract between the framework and a trainable.

A trainable is one module with

* ``run_one(config, trial)``, a generator that yields one mapping of metrics per report
  (or a plain function that returns one mapping); or ``run(configs, trials)``, which trains many trials at once (below);
* ``Config``, a frozen dataclass: what may be set, with types, ranges and defaults (optional for your own code);
* ``METRICS``, a mapping from metric name to what it means (optional for your own code);
* ``steps(config)``, the last step number it will report, for time estimates (optional).

It is plain Python: torch and numpy, never Ray, never Optuna.

    def run_one(config: Config, trial: Trial) -> Iterator[Metrics]:
        model = build(config, trial.streams.torch("init"))
        start = 0
        if trial.restored:                        # an interrupted trial goes on
            model.load_state_dict(trial.restored["model"])
            start = trial.restored["epoch"] + 1
        for epoch in range(start, config.epochs):
            ...
            trial.checkpoint(lambda: {"model": model.state_dict(), "epoch": epoch})
            yield {"step": epoch + 1, "loss/validation": loss}

Trials whose configs differ only in fields marked ``PerMember`` may run as a *cohort*, stacked on a leading axis:

    def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
        ...
            yield {number: {"loss/validation": losses[number]} for number, trial in enumerate(trials) if trial.wanted}

Each trial keeps its own streams, checkpoints and steps, and reports what it would have reported alone. One that has
ended (``trial.wanted`` is False after a yield) should leave the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from annotated_types import Ge, Gt, Le

from trainables.keeping import LAST_TWO, Keep
from trainables.seeding import Streams

T = TypeVar("T")


class _PerMember:
    """Marks a config field that may differ between the members of a cohort."""

    def __repr__(self) -> str:
        return "PER_MEMBER"


PER_MEMBER = _PerMember()
PerMember = Annotated[T, PER_MEMBER]
"""``lr: PerMember[float]`` may differ inside a cohort; every other field has to be equal."""

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]

Metrics = Mapping[str, float]
"""One report. The key ``step`` numbers it (an int that grows); without it reports count 1, 2, ..."""

Reports = Mapping[int, "Metrics | Diverged"]
"""Reports of several trials, by their place in what ``run`` was given. ``Diverged`` ends a trial, and no other."""

State = Mapping[str, Any]
"""What a checkpoint holds: tensors, numbers, text, and lists or dicts of them. Nothing that needs pickle."""


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    PRUNED = "pruned"  # stopped by the scheduler
    DIVERGED = "diverged"  # the objective, or what the trainable watches, is no finite number
    FAILED = "failed"  # the trainable raised, or reported something that is no metric
    CANCELLED = "cancelled"  # stopped by a person or a signal; can always go on
    LOST = "lost"  # its process died; can always go on


class Cause(StrEnum):
    """Why an attempt failed or was lost."""

    NONE = ""
    ERROR = "error"  # the trainable raised, or reported something that is no metric
    MEMORY = "out of memory"  # of the process, the machine or the GPU
    STORAGE = "storage"  # a report could not be written: the disk is full, read-only or gone
    TIMEOUT = "timeout"  # it neither reported nor pulsed for too long
    DIED = "process died"
    PREEMPTED = "preempted"  # its machine or its process was asked to leave
    NODE = "node lost"


class Diverged(Exception):  # noqa: N818 - it is an ending, and often no error
    """Raise it to end a trial whose numbers are no longer finite."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, with the trace of what it raised."""

    outcome: Outcome
    error: str = ""
    seconds: float | None = None  # that it took, its share of those that several trials took together; None: unknown
    cause: Cause = Cause.NONE
    suspects: int = 1  # trials of the process, any of which may be the cause; 1: it was this one


@dataclass(frozen=True)
class Stage:
    """An earlier part of a trial that changes its config on the way."""

    config: Mapping[str, Any]
    until_step: int  # the report after which the next config takes over
    checkpoint: str = ""  # a state as of that report that another trial has left; without it the stage is run


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything that a process needs to run one attempt of one trial."""

    trial: str
    trainable: str  # "supervised.classify", "my_package.my_module" or "my_file.py:train"
    config: Mapping[str, Any]
    seed: int
    attempt: int = 1
    folder: str = ""  # of this trial: checkpoints
    store: str = ""  # of the artifacts that trials share
    objectives: tuple[str, ...] = ()  # metrics that have to be reported and finite
    threads: int = 1  # CPU threads for torch
    gpus: float = 0  # share of a GPU per worker; above 0 the trial runs on CUDA
    workers: int = 0  # processes that train this trial together; 0: the process that got the order
    keep: Keep = LAST_TWO  # which states
    keep_checkpoint: bool = False  # after the trial is done
    search_path: str = ""  # folder that "my_file.py" is relative to
    stages: tuple[Stage, ...] = ()  # what comes before ``config``
    milestones: str = ""  # folder for the states that other trials may start from
    milestone_steps: int = 0  # one whenever this many more steps are reported; 0: none
    shape: str = ""  # the same for trials that can be stacked
    most: int | None = None  # trials that it may share a process with, itself included; None: any number
    labels: Mapping[str, Any] = field(default_factory=dict)  # cell, point, phase, ...: for whoever watches


class Sink(Protocol):
    """Where the reports of one attempt go. Each call returns when the record is safe from a kill."""

    def report(self, step: int, metrics: Metrics) -> None: ...

    def image(self, tag: str, step: int, png: bytes) -> None: ...

    def note(self, key: str, value: Any) -> None:
        """Record a fact about the trial, such as the digest of its data."""
        ...

    def sync(self) -> None:
        """Keep what was written even if the machine loses its power now."""
        ...

    def close(self, outcome: Outcome) -> None: ...


class Nowhere:
    """A sink for reports that nobody reads."""

    def report(self, step: int, metrics: Metrics) -> None: ...

    def image(self, tag: str, step: int, png: bytes) -> None: ...

    def note(self, key: str, value: Any) -> None: ...

    def sync(self) -> None: ...

    def close(self, outcome: Outcome) -> None: ...


class Trial(Protocol):
    """What a trainable is given beside its config."""

    @property
    def id(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        ...

    @property
    def rank(self) -> int: ...

    @property
    def world_size(self) -> int: ...

    @property
    def streams(self) -> Streams:
        """Independent random streams by name, all from the trial's seed."""
        ...

    @property
    def restored(self) -> State | None:
        """The last saved state of an earlier attempt, None at the first."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether the trial goes on; of interest in a cohort."""
        ...

    def pulse(self) -> None:
        """Say that a training step is done. It tells the framework how fast a cohort is, and that it is alive."""
        ...

    def finish(self) -> None:
        """Say that the report which is yielded next is the last of this trial, though its cohort goes on."""
        ...

    def checkpoint(self, state: Callable[[], State]) -> None:
        """Offer the state as of the report that is yielded next.

        The framework calls ``state`` and saves it, after that report is on disk, whenever enough time has passed
        that saving stays below a tenth of the run time. It is called before the generator goes on.
        """
        ...

    def artifact(self, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """Return the folder that ``build(folder)`` filled for this ``spec``; built once for all trials."""
        ...

    def figure(self, tag: str, figure: Any) -> None:
        """Show a matplotlib figure in TensorBoard, at the step of the report that is yielded next."""
        ...

    def image(self, tag: str, pixels: Any) -> None:
        """Show an image in TensorBoard: floats in [0, 1] or uint8, of shape (height, width[, 1 or 3])."""
        ...

    def note(self, key: str, value: Any) -> None:
        """Record a fact about this trial in the ledger, such as a digest of its data."""
        ...


RunOne = Callable[[Any, Trial], Iterator[Metrics]]
Run = Callable[[Sequence[Any], Sequence[Trial]], Iterator[Reports]]

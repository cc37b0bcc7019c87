"""What a backend is given to do: the one interface between the search and the places where trials run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from trainables.api import Ending, Metrics, Order, Sink

__all__ = ["Batch", "Beat", "Ending", "Heart", "Idle", "OpenSink", "Report", "Source", "Work"]


class Idle(Enum):
    WAIT = "nothing to start until a running trial ends"
    FINISHED = "nothing to start ever again"


@dataclass(frozen=True)
class Report:
    step: int
    metrics: Metrics


class Source(Protocol):
    """Gives out trials and is told what became of them. Called from one thread."""

    def next(self) -> Order | Idle: ...

    def alike(self, trial: str, most: int, sharing: int = 1, idle: int = 1) -> Sequence[Order]:
        """More trials of the shape of one that was given out, up to so many.

        If many processes share what there is, of which so many are idle, it is a fair part.
        """
        ...

    def started(self, trial: str) -> None: ...

    def reported(self, trial: str, reports: Sequence[Report]) -> bool:
        """Take the next reports of a trial, in order; False stops it."""
        ...

    def ended(self, trial: str, ending: Ending) -> None:
        """Called once for each order that was given out."""
        ...

    @property
    def stopping(self) -> bool:
        """True once a person or a signal asked for the end: nothing more may start or go on."""
        ...

    @property
    def judges_reports(self) -> bool:
        """True if ``reported`` may answer False, so that each report has to be asked about at once."""
        ...


OpenSink = Callable[[Order], Sink]
"""Opens the sink of an attempt, in the process that runs it. Has to be picklable."""


class Beat(Protocol):
    """Called at every sign of life of a process."""

    def __call__(self) -> None: ...

    def stop(self) -> None: ...


class Heart(Protocol):
    """Says that a process is alive. Picklable; started in the process, by the thread that trains."""

    def start(self) -> Beat: ...


@dataclass(frozen=True)
class Work:
    """What a process is handed: one trial, or several of one shape."""

    orders: tuple[Order, ...]
    open_sink: OpenSink
    judged: bool = False  # whether each report has to be asked about before a trial goes on
    takes: Mapping[str, float] = field(default_factory=dict)  # what each worker gets, as Ray names it
    size: int | None = None  # of a cohort; None: the process finds out
    heart: Heart | None = None  # None: nobody minds if it hangs
    where: Mapping[str, str] = field(default_factory=dict)  # which nodes it may be on, as Ray selects them by labels

    def __repr__(self) -> str:
        return f"Work({', '.join(order.trial for order in self.orders)})"


@dataclass(frozen=True)
class Batch:
    """What comes back: the reports since the last batch, in the order in which they were made, and endings."""

    reports: tuple[tuple[str, Report], ...] = ()
    endings: Mapping[str, Ending] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # by trial, its share of what they took together
    free: int = 0  # places for more trials of this shape; below zero: so many wait for one
    size: int | None = None  # of a cohort, when it was found out, or turned out to be too large

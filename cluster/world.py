"""What a simulated run is given instead of a cluster: machines, times, faults. All times are virtual."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from cluster.work import OpenSink, Report
from trainables.api import (
    Ending,
    Fraction,
    Metrics,
    NonNegative,
    NonNegativeInt,
    Order,
    Outcome,
    Positive,
    PositiveInt,
    Sink,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Equal machines, and what happens on them. A rate of 0 means that it never happens."""

    nodes: PositiveInt = 1
    """How many machines."""
    cpus: Positive = 8
    """Of a node."""
    gpus: NonNegative = 0
    """Of a node."""
    start_s: NonNegative = 5
    """From the order for a new process to its first step."""
    trial_s: Positive = 60
    """Of a trial that runs alone to its end: the median."""
    spread: NonNegative = 0.3
    """Standard deviation of the logarithm of that, between trials and between reports."""
    cohort: PositiveInt = 16
    """Trials that a process stacks where the sweep says auto."""
    stacked_cost: Fraction = 0.2
    """That each further trial of a cohort adds to the time of a step."""
    steps: PositiveInt = 100
    """Of a trial, where the trainable does not say."""
    reports: PositiveInt = 10
    """Of a trial."""
    noise: NonNegative = 0.02
    """Standard deviation of a metric, between seeds and between reports."""
    checkpoint_s: NonNegative = 60
    """Between two checkpoints of a trial; what came after the last is done again."""
    raises: Fraction = 0
    """Share of trials whose trainable raises."""
    diverges: Fraction = 0
    """Share of trials that report no finite number."""
    process_hours: NonNegative = 0
    """Between two deaths of a process, on average."""
    node_hours: NonNegative = 0
    """Between two losses of a node."""
    preempt_hours: NonNegative = 0
    """Between two preemptions of a node, which come with a warning."""
    back_s: NonNegative = 600
    """After which a node returns."""
    driver_ms: NonNegative = 0
    """That the driver needs for each message; others wait meanwhile."""
    seed: NonNegativeInt = 0
    """Of everything that is drawn at random here."""
    curves: str = ""
    """A run whose learning curves are played again; made up if empty."""


class Clock:
    """Virtual seconds since 1970. Nothing but a simulation moves it, and never back."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, to: float) -> None:
        self.now = max(self.now, to)


class Agenda:
    """What will happen, in the order of time; what is due at the same time, in the order in which it was put there."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._numbers), what))

    def pop(self) -> tuple[float, Callable[[], None]]:
        time, _, what = heapq.heappop(self._heap)
        return time, what


@dataclass(frozen=True)
class Curve:
    """What a trial reports, and how it ends if nothing happens to it."""

    reports: Sequence[tuple[int, Metrics]]  # steps, and the metrics at them; at least one
    seconds: float  # from the first step to the end, alone in its process
    ending: Ending = field(default_factory=lambda: Ending(Outcome.DONE))


class Curves(Protocol):
    def __call__(self, order: Order) -> Curve:
        """The same for the same trial, whenever it is asked for."""
        ...


@dataclass(eq=False)
class Member:
    """A trial in a process."""

    order: Order
    curve: Curve
    sink: Sink
    at: int = 0  # the report that comes next
    seconds: float = 0.0  # that it has taken here, its share of those of the process
    unsaved_s: float = 0.0  # since its last checkpoint

    @property
    def step_s(self) -> float:
        """From one report to the next, alone."""
        return self.curve.seconds / len(self.curve.reports)

    def step(self, seconds: float, share: float) -> Report:
        self.seconds += share
        self.unsaved_s += seconds
        step, metrics = self.curve.reports[self.at]
        self.at += 1
        self.sink.report(step, metrics)
        return Report(step, metrics)

    @property
    def ending(self) -> Ending | None:
        """How it ends by itself, once it has nothing more to report."""
        over = self.at >= len(self.curve.reports)
        return replace(self.curve.ending, seconds=self.seconds) if over else None


@dataclass(eq=False)
class Place:
    """Where a process is, or could be. It is lost with any of its nodes."""

    name: str
    nodes: frozenset[int]
    warm: bool = False  # a process is there
    life: int = 0  # what was put on the agenda for an earlier one is void
    since: float | None = None  # it has been busy
    size: int = 1  # trials that it stacks
    open_sink: OpenSink | None = None
    members: dict[str, Member] = field(default_factory=dict)  # by trial

    def step_s(self, world: World, random: random.Random) -> float:
        """Until all members have reported once more; they are in step with each other."""
        alone = sum(member.step_s for member in self.members.values()) / len(self.members)
        return alone * (1 + world.stacked_cost * (len(self.members) - 1)) * random.lognormvariate(0, world.spread)

    def step(self, seconds: float) -> tuple[list[tuple[str, Report]], dict[str, Ending]]:
        """What the members report, and how those end that have nothing more to report."""
        share = seconds / len(self.members)
        reports = [(trial, member.step(seconds, share)) for trial, member in self.members.items()]
        return reports, {trial: ending for trial, member in self.members.items() if (ending := member.ending)}

    def remove(self, outcomes: Mapping[str, Outcome]) -> None:
        for trial, outcome in outcomes.items():
            self.members.pop(trial).sink.close(outcome)

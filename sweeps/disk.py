"""The states of trials on disk: which are kept, and what goes first when a sweep has only so much room for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sweeps.spec import Sweep
from trainables import checkpoint
from trainables.keeping import FALLBACK, Keep

TRIALS, MILESTONES = "trials", "milestones"
_SHORTEST_S = 2.0  # between two looks
_COST_RATIO = 20  # looking takes at most a twentieth of the time


def rule(sweep: Sweep) -> Keep:
    """What each process that saves states of this sweep keeps of them."""
    asked, first = sweep.checkpoints, sweep.objectives[0]
    if asked.keep == "last":
        return Keep(last=asked.count)
    if asked.keep == "every":
        return Keep(last=1, every_steps=asked.steps or 0)
    return Keep(last=1, best=asked.count, metric=first.metric, maximize=first.goal == "maximize")


@dataclass(frozen=True)
class State:
    """A state on disk. ``place``: the folder that it is in, ``trials`` or ``milestones``."""

    path: Path
    place: str
    trial: str
    step: int
    size_bytes: int
    time: float


def doomed(states: Sequence[State], budget_bytes: int, phases: Mapping[str, str]) -> list[State]:
    """The states to remove, least needed first, until the others fit.

    Args:
        states: all that there are.
        budget_bytes: for all of them together.
        phases: ``tune`` or ``confirm``, of each trial that is done. The others go on, or may do so later.
    """
    left = sum(state.size_bytes for state in states)
    chosen: list[State] = []
    for _, state in sorted(_dispensable(states, phases), key=lambda found: (found[0], found[1].time)):
        if left <= budget_bytes:
            break
        chosen.append(state)
        left -= state.size_bytes
    return chosen


def _dispensable(states: Sequence[State], phases: Mapping[str, str]) -> list[tuple[int, State]]:
    """Each state that may go, with how much it is needed."""
    by_folder = sorted(states, key=lambda state: (state.place, state.trial, -state.step))
    found: list[tuple[int, State]] = []
    for (place, trial), group in groupby(by_folder, key=lambda state: (state.place, state.trial)):
        for age, state in enumerate(group):
            need = _need(age, phases.get(trial)) if place == TRIALS else 2
            found += [] if need is None else [(need, state)]
    return found


def _need(age: int, phase: str | None) -> int | None:
    """``age``: how many newer states the trial has. Milestones, from which others start, have a need of 2."""
    if phase is None:
        return None if age < FALLBACK else 1
    if age:
        return 0
    return 3 if phase == "tune" else None


class Budget:
    """Keeps the states of a run within the bytes that its sweep allows."""

    def __init__(self, sweep: Sweep, run: Path, say: Callable[[str], None]) -> None:
        self._bytes, self._run, self._say = sweep.checkpoints.disk, run, say
        self._next, self._told = 0.0, False

    def look(self, phases: Callable[[], Mapping[str, str]], *, now: bool = False) -> None:
        """Remove what does not fit, if it is time to look or has to be now. ``phases``: as for ``doomed``."""
        began = time.monotonic()
        if self._bytes is None or (began < self._next and not now):
            return
        states = list_states(self._run)
        gone = doomed(states, self._bytes, phases())
        for state in gone:
            checkpoint.remove(state.path)
        self._complain(sum(s.size_bytes for s in states) - sum(s.size_bytes for s in gone))
        self._next = time.monotonic() + max(_SHORTEST_S, _COST_RATIO * (time.monotonic() - began))

    def _complain(self, left: int) -> None:
        if self._bytes is not None and left > self._bytes and not self._told:
            self._told = True
            self._say(
                f"checkpoints.disk: the states that cannot be spared take {left:.4g} bytes, more than {self._bytes:.4g}"
            )


def list_states(run: Path) -> list[State]:
    """Every state of a run."""
    found: list[State] = []
    for place in (TRIALS, MILESTONES):
        for path in (run / place).glob("*/checkpoint-*.pt"):
            try:
                stat, step = path.stat(), int(path.stem.partition("-")[2])
            except (OSError, ValueError):  # removed in the meantime, or no file of ours
                continue
            found.append(State(path, place, path.parent.name, step, stat.st_size, stat.st_mtime))
    return found

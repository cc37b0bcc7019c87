"""Finds processes that hang: each says now and then that it is alive, and one that has not for too long is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_PULSES = 8  # that a process sends within the time after which it would be killed
_STANDS_AT = 0.7  # of that time, at which it says where it stands

Process = tuple[str, int]  # its node, and its number there


@dataclass
class _Place:
    heard: float
    stands: str = ""
    processes: set[Process] = field(default_factory=set)


class Board:
    """An actor that knows when each place was heard of last, all by its own clock."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def hear(self, place: str, process: Process | None = None) -> None:
        known = self._places.setdefault(place, _Place(0.0))
        known.heard, known.stands = time.monotonic(), ""
        known.processes |= {process} if process else set()

    def stands(self, place: str, trace: str) -> None:
        if place in self._places:
            self._places[place].stands = trace

    def forget(self, place: str) -> None:
        self._places.pop(place, None)

    def silent(self, limit_s: float) -> dict[str, tuple[str, list[Process]]]:
        """The places that were not heard of for so long: where they stand, if they said so, and their processes."""
        now = time.monotonic()
        late = {place: known for place, known in self._places.items() if now - known.heard > limit_s}
        return {place: (known.stands, sorted(known.processes)) for place, known in late.items()}


# --- in the processes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heart:
    """What a process needs to say that it is alive."""

    board: str  # name of the actor
    place: str
    limit_s: float

    def start(self) -> Callable[[], None]:
        """Returns what has to be called at every sign of life, by the thread that trains."""
        return _Beat(self)


class _Beat:
    def __init__(self, heart: Heart) -> None:
        self._heart, self._board = heart, ray.get_actor(heart.board)
        self._thread, self._last, self._sent = threading.get_ident(), time.monotonic(), 0.0
        self._over = threading.Event()
        self._tell(ray.get_runtime_context().get_node_id(), os.getpid())
        threading.Thread(target=self._watch, daemon=True).start()

    def _tell(self, *process: Any) -> None:
        self._board.hear.remote(self._heart.place, process or None)
        self._sent = time.monotonic()

    def __call__(self) -> None:
        self._last = time.monotonic()
        if self._last - self._sent > self._heart.limit_s / _PULSES:
            self._tell()

    def stop(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        """Say where the training stands when it has been silent for long; a thread that it starves says nothing."""
        while not self._over.wait(self._heart.limit_s / _PULSES):
            frame = sys._current_frames().get(self._thread)
            if frame and time.monotonic() - self._last > _STANDS_AT * self._heart.limit_s:
                trace = "".join(traceback.format_stack(frame))
                self._board.stands.remote(self._heart.place, trace)


# --- in the driver ---------------------------------------------------------------------------------------------------


class Watch:
    """Kills the processes of places that are silent for too long, and says which they were."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._name = limit_s, f"assay-board-{uuid.uuid4().hex[:12]}"
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor: Any = ray.remote(num_cpus=0)(Board)
        self._board = actor.options(name=self._name, scheduling_strategy=here).remote()
        self._asked: Any = None
        self._next = 0.0
        self._hung: dict[str, str] = {}

    def heart(self, place: str) -> Heart:
        return Heart(self._name, place, self._limit_s)

    def started(self, place: str) -> None:
        self._board.hear.remote(place)

    def forget(self, place: str) -> None:
        self._board.forget.remote(place)

    def why(self, place: str) -> str:
        """Why it was killed; empty if it was not."""
        return self._hung.get(place, "")

    def overdue(self) -> dict[str, list[Process]]:
        """The places that have just been found silent, with their processes. Never waits."""
        if self._asked is None and time.monotonic() >= self._next:
            self._asked = self._board.silent.remote(self._limit_s)
        if self._asked is None or not ray.wait([self._asked], timeout=0)[0]:
            return {}
        answer: Any = ray.get(self._asked)
        self._asked = None
        self._next = time.monotonic() + self._limit_s / _PULSES
        found: dict[str, list[Process]] = {}
        for place, (stands, processes) in answer.items():
            where = f"it stood here:\n{stands}" if stands else "it could not say where it stood"
            self._hung[place] = f"neither a report nor a pulse for {self._limit_s:g} s; {where}"
            found[place] = processes
            self.forget(place)
        return found

    def close(self) -> None:
        ray.kill(self._board)


def kill(actor: Any, processes: list[Process]) -> None:
    """End an actor and processes for good. Ray alone does not end what was stopped by a signal."""
    ray.kill(actor)
    for node, number in processes:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        _end.options(scheduling_strategy=there).remote(number)


@ray.remote(num_cpus=0, max_retries=0)
def _end(number: int) -> None:
    """A process of Ray, if it is still one."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"ray::"):
            os.kill(number, signal.SIGKILL)

"""Watches over running processes: those that hang are killed, those whose machine is about to go leave it before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.drains import Drains
from cluster.failures import cause_of
from cluster.heartbeat import Heart, Watch, kill
from cluster.work import Ending
from trainables.api import Cause, Outcome


class Guard:
    """``heartbeat_s``: how long a process may be silent; None: for ever."""

    def __init__(self, heartbeat_s: float | None = None) -> None:
        self._watch = Watch(heartbeat_s) if heartbeat_s else None
        self._drains = Drains()

    def heart(self, place: str) -> Heart | None:
        return self._watch.heart(place) if self._watch else None

    def started(self, place: str, actor: Any) -> None:
        self._drains.started(place, actor)
        if self._watch:
            self._watch.started(place)

    def look(self, actor_of: Callable[[str], Any]) -> None:
        """To be called again and again; never waits. ``actor_of`` a place that is over is None."""
        self._drains.look()
        for place, processes in self._watch.overdue().items() if self._watch else ():
            if actor := actor_of(place):
                kill(actor, processes)

    def has_to_leave(self, place: str) -> bool:
        return place in self._drains

    def loss(self, place: str, error: str) -> Ending:
        """How the trials of a place end whose process has died, with what Ray says about that."""
        if self._watch and (why := self._watch.why(place)):
            return Ending(Outcome.LOST, why, cause=Cause.TIMEOUT)
        if place in self._drains:
            return Ending(Outcome.LOST, f"its machine was told to leave\n{error}", cause=Cause.PREEMPTED)
        return Ending(Outcome.LOST, error, cause=cause_of(error))

    def forget(self, place: str) -> None:
        """Nothing runs there any more."""
        if self._watch:
            self._watch.forget(place)

    def close(self) -> None:
        if self._watch:
            self._watch.close()

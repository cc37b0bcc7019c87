"""Finds the processes whose machine has been told to leave, as spot machines are a little before they do."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import ray
from ray.exceptions import RayError

_LOOK_S = 1.0


class Drains:
    """Where the places are, and which of them have to be left. Never waits."""

    def __init__(self) -> None:
        self._asked: dict[str, Any] = {}  # by place
        self._nodes: dict[str, str] = {}
        self._leaving: set[str] = set()
        self._next = 0.0

    def started(self, place: str, actor: Any) -> None:
        """``actor`` has a method ``node``."""
        self._asked[place] = actor.node.remote()

    def __contains__(self, place: str) -> bool:
        """Whether it was found on a machine that leaves."""
        return place in self._leaving

    def look(self) -> None:
        """Ask which machines leave, once in a while."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOOK_S
        leaving = _leaving_nodes()
        if not leaving:
            return
        for place, ref in list(self._asked.items()):
            if ray.wait([ref], timeout=0)[0]:
                del self._asked[place]
                with contextlib.suppress(RayError):  # it has died since
                    self._nodes[place] = ray.get(ref)
        self._leaving |= {place for place, node in self._nodes.items() if node in leaving}


def _leaving_nodes() -> set[str]:
    """As Ray Train finds them out; Ray has no public way (2.60)."""
    with contextlib.suppress(Exception):  # the head may be away for a while
        from ray._private.state import state

        return set(state.get_draining_nodes())
    return set()

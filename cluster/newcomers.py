"""Nodes that join while a run goes on: asked whether they see its folder, and left out if they do not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from cluster import shared
from cluster.placement import Node

_AGAIN_S = 60.0  # after which a node is asked again, which may have got its storage meanwhile


class Question(Protocol):
    def answer(self) -> str | None: ...


def _alive() -> dict[str, dict[str, Any]]:
    import ray

    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


class Newcomers:
    """Follows the nodes. Those that are there at the start have been asked by ``shared.check``."""

    def __init__(
        self,
        folder: Path | None,
        say: Callable[[str], None],
        nodes: Callable[[], Mapping[str, dict[str, Any]]] = _alive,
        ask: Callable[[Path, dict[str, Any]], Question] = shared.Question,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder``: None if nobody has to see any."""
        self._folder, self._say = folder, say
        self._nodes, self._ask, self._clock = nodes, ask, clock
        self._fine = set(nodes())
        self._asked: dict[str, Question] = {}
        self._barred: dict[str, float] = {}  # and when it was found out

    @property
    def where(self) -> dict[str, str]:
        """Which nodes may have trials, as a label selector of Ray; empty if all may."""
        return {"ray.io/node-id": f"!in({', '.join(sorted(self._barred))})"} if self._barred else {}

    def look(self) -> list[Node]:
        """What each node has that may have trials; one that has not answered yet is not among them. Never waits."""
        there = self._nodes()
        if self._folder:
            self._inquire(self._folder, there)
        else:
            self._fine |= there.keys()
        return [has["Resources"] for node, has in there.items() if node in self._fine]

    def _inquire(self, folder: Path, there: Mapping[str, dict[str, Any]]) -> None:
        self._barred = {node: since for node, since in self._barred.items() if node in there}
        for node in there.keys() - self._fine - self._asked.keys():
            if self._clock() - self._barred.get(node, -_AGAIN_S) >= _AGAIN_S:
                self._asked[node] = self._ask(folder, there[node])
        for node, question in list(self._asked.items()):
            if (wrong := question.answer()) is not None:
                del self._asked[node]
                self._judge(node, wrong, there)

    def _judge(self, node: str, wrong: str, there: Mapping[str, dict[str, Any]]) -> None:
        if wrong and node in there:
            if node not in self._barred:
                self._say(f"{shared.name_of(there[node])} gets no trials: it cannot use {self._folder}: {wrong}")
            self._barred[node] = self._clock()
        else:
            self._barred.pop(node, None)
            self._fine.add(node)

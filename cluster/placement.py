"""How many trials fit into a cluster at a time, and how many of them one process stacks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from trainables.api import Order

Node = Mapping[str, float]
"""What one machine has, such as ``{"CPU": 8, "GPU": 2}``."""

_ROUNDING = 1e-9  # 3 x 1/3 of a GPU make a GPU


class PlacementError(Exception):
    """Resources that no machine of the cluster can ever give; one line."""


class Resources(Protocol):
    """What each process of a trial gets. A trial with ``workers`` has that many processes, otherwise one."""

    @property
    def cpus(self) -> float: ...

    @property
    def gpus(self) -> float: ...

    @property
    def workers(self) -> int: ...


def nodes() -> list[Node]:
    """The machines of the cluster that this process has joined."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def concurrent(resources: Resources, machines: Sequence[Node], limit: int | None = None) -> int:
    """How many trials run at a time: as many as fit, and at most ``limit``. Raises PlacementError if none ever can."""
    if resources.gpus > 1 and resources.gpus != int(resources.gpus):
        raise PlacementError(f"resources.gpus: got {resources.gpus:g}, expected a share of one GPU or a whole number")
    processes = max(1, resources.workers)
    places = sum(_places(resources, machine) for machine in machines)
    if places < processes:
        raise PlacementError(_too_much(resources, machines, places))
    fitting = places // processes
    return min(fitting, limit) if limit else fitting


def _places(resources: Resources, machine: Node) -> int:
    """How many processes one machine holds. A process with a share of a GPU has it on one GPU."""
    by_cpu = math.floor(machine.get("CPU", 0) / resources.cpus + _ROUNDING)
    if not resources.gpus:
        return by_cpu
    gpus = int(machine.get("GPU", 0))
    by_gpu = gpus * math.floor(1 / resources.gpus + _ROUNDING) if resources.gpus < 1 else gpus // int(resources.gpus)
    return min(by_cpu, by_gpu)


def _too_much(resources: Resources, machines: Sequence[Node], places: int) -> str:
    one = _amount(resources.cpus, resources.gpus)
    if places and resources.workers > 1:
        return f"resources.workers: got {resources.workers} workers with {one} each, the cluster has room for {places}"
    have = sorted({(m.get("CPU", 0), m.get("GPU", 0)) for m in machines}, reverse=True)
    found = "; ".join(_amount(cpus, gpus) for cpus, gpus in have[:5]) or "no machine"
    return f"resources: got {one} per process, the machines of the cluster have: {found}"


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")


_MOST_AT_ONCE = {"cpu": 64, "cuda": 512}  # trials that a process is handed before it knows how many it can stack


_WORTH_STACKING = 8  # trials, below which a process is slow


def fair_share(ready: int, most: int, sharing: int = 1, idle: int = 1) -> int:
    """How many of the trials that are ready a process takes.

    Args:
        ready: trials, at least 1.
        most: that a process can stack.
        sharing: how many processes there are.
        idle: how many of them have nothing to do, this one included.
    """
    if ready > most * idle:  # there is a next round, which all should end at about the same time
        return math.ceil(ready / (sharing * math.ceil(ready / most / sharing)))
    if idle > 1:
        return math.ceil(ready / idle)
    return max(min(ready, _WORTH_STACKING, most), math.ceil(ready / sharing))


class Sizes:
    """How many trials a process stacks: a given number, or what processes have found out, remembered between runs."""

    def __init__(self, fixed: int | None = None, memory: Path | None = None) -> None:
        self._fixed, self._memory = fixed, memory
        self._known = _read(memory) if memory else {}

    def most(self, order: Order) -> int:
        """How many trials of this shape a process is handed at a time."""
        return self.of(order) or _MOST_AT_ONCE[_device(order)]

    def of(self, order: Order) -> int | None:
        """None if the process has to find out."""
        return self._fixed or self._known.get(_name(order))

    def learn(self, order: Order, size: int) -> None:
        self._known[_name(order)] = size
        if self._memory:
            with contextlib.suppress(OSError):  # then the next run finds out again
                _write(self._memory, {**_read(self._memory), _name(order): size})


def _name(order: Order) -> str:
    return f"{order.shape} on {_device(order)} with {order.threads} threads"


def _device(order: Order) -> str:
    return "cuda" if order.gpus else "cpu"


def _read(path: Path) -> dict[str, int]:
    """What was remembered; what is damaged is found out again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    sizes = found.items() if isinstance(found, dict) else ()
    return {name: size for name, size in sizes if type(size) is int and size > 0}


def _write(path: Path, known: Mapping[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as draft:
        json.dump(known, draft, indent=1)
    Path(draft.name).replace(path)


def memory_of_sizes() -> Path:
    """Where sizes are remembered: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "assay" / "cohorts.json"

"""How many trials fit into a cluster at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

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

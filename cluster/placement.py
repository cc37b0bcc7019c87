"""How many trials fit into a cluster at a time, and how many of them one process stacks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cluster.errors import NotReady
from trainables.api import Order

Node = Mapping[str, float]
"""What one machine has, as Ray names it: ``{"CPU": 8, "GPU": 2, "memory": 64e9, "accelerator_type:H100": 1}``."""

Bundle = Mapping[str, float]
"""What one process takes, in the same words."""

_ROUNDING = 1e-9  # 3 x 1/3 of a GPU make a GPU
_IN_UNITS = ("GPU", "TPU", "HPU", "NPU", "RBLN", "neuron_cores")  # devices: a share of one is a share of one device
_OF_TYPE = "accelerator_type:"
_A_TOUCH = 0.001  # of that resource, by which Ray lets a process choose machines and keeps nobody else out


class PlacementError(NotReady):
    """Resources that no machine of the cluster can ever give; one line."""


class Resources(Protocol):
    """What each process of a trial gets. A trial with ``workers`` has that many processes, otherwise one."""

    @property
    def cpus(self) -> float: ...

    @property
    def gpus(self) -> float: ...

    @property
    def workers(self) -> int: ...

    @property
    def memory(self) -> int | None:
        """Bytes, which Ray counts; None: not counted."""
        ...

    @property
    def accelerator(self) -> str | None:
        """The type of accelerator that its machine has to have, as Ray names it."""
        ...

    @property
    def custom(self) -> Mapping[str, float]:
        """Resources that the machines of this cluster were given names for."""
        ...

    @property
    def heartbeat_s(self) -> float | None:
        """How long it may neither report nor pulse before it is killed; None: for ever."""
        ...


@dataclass(frozen=True)
class Ask:
    """Resources that are no part of a sweep."""

    cpus: float = 1
    gpus: float = 0
    workers: int = 0
    memory: int | None = None
    accelerator: str | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    heartbeat_s: float | None = None


def bundle(resources: Resources) -> Bundle:
    """What each process takes. Raises PlacementError for shares of a device that no device can give."""
    takes = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory or 0, **resources.custom}
    if resources.accelerator:
        takes[f"{_OF_TYPE}{resources.accelerator}"] = _A_TOUCH
    for name, amount in takes.items():
        if name in _IN_UNITS and amount > 1 and amount != int(amount):
            where = "resources.gpus" if name == "GPU" else f"resources.custom.{name}"
            raise PlacementError(f"{where}: got {amount:g}, expected a share of one {name} or a whole number")
    return {name: amount for name, amount in takes.items() if amount}


def concurrent(resources: Resources, machines: Sequence[Node], limit: int | None = None) -> int:
    """How many trials run at a time: as many as fit, and at most ``limit``. Raises PlacementError if none ever can."""
    fitting = fits(resources, machines)
    if not fitting:
        raise PlacementError(_too_much(resources, machines))
    return min(fitting, limit) if limit else fitting


def fits(resources: Resources, machines: Sequence[Node]) -> int:
    """How many trials these machines hold at a time. The workers of one may be on several machines."""
    takes = bundle(resources)
    return sum(places(takes, machine) for machine in machines) // max(1, resources.workers)


def places(takes: Bundle, machine: Node) -> int:
    """How many processes one machine holds."""
    return min(rooms(takes, machine).values())


def rooms(takes: Bundle, machine: Node) -> dict[str, int]:
    """How many processes one machine holds, as far as each resource goes; the smallest one binds."""
    return {name: _room(name, amount, machine.get(name, 0)) for name, amount in takes.items()}


def _room(name: str, amount: float, has: float) -> int:
    if name not in _IN_UNITS:
        return math.floor(has / amount + _ROUNDING)
    return int(has) * math.floor(1 / amount + _ROUNDING) if amount < 1 else int(has) // int(amount)


def _too_much(resources: Resources, machines: Sequence[Node]) -> str:
    takes = bundle(resources)
    if resources.workers > 1 and (room := sum(places(takes, machine) for machine in machines)):
        got = f"{resources.workers} workers with {amounts(takes)} each"
        return f"resources.workers: got {got}, the cluster has room for {room}"
    kinds = Counter(_shortage(takes, machine) for machine in machines)
    found = "; ".join(f"{number} x {kind}" for kind, number in kinds.most_common(8)) or "no machine"
    return f"resources: got {amounts(takes)} per process, which no machine of the cluster has: {found}"


def _shortage(takes: Bundle, machine: Node) -> str:
    """What a machine has of what is asked for, and what of it is not enough."""
    has = {name: machine.get(name, 0) for name in takes if not name.startswith(_OF_TYPE)}
    types = [plainly(name) for name in machine if name.startswith(_OF_TYPE)]
    short = [plainly(name) for name, room in rooms(takes, machine).items() if not room]
    return f"{amounts(has)}{''.join(f' ({t})' for t in types)}, too few of {', '.join(short)}"


def asked_for(name: str) -> bool:
    """Whether a sweep can ask for this resource; Ray keeps some for itself."""
    return name != "object_store_memory" and not name.startswith("node:")


def plainly(name: str) -> str:
    """A resource as people call it."""
    return name.removeprefix(_OF_TYPE)


def amounts(of: Mapping[str, float]) -> str:
    """What a process takes or a machine has, in words."""
    return ", ".join(_amount(name, amount) for name, amount in of.items()) or "nothing"


def _amount(name: str, amount: float) -> str:
    if name.startswith(_OF_TYPE):
        return f"on {plainly(name)}"
    if name == "memory":
        return f"{amount / 1e9:.3g} GB memory"
    plural = name in ("CPU", "GPU", "TPU") and not 0 < amount <= 1
    return f"{amount:g} {name}{'s' * plural}"


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

"""The machines of a cluster, and how many processes of a sweep each of them holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cluster import placement
from cluster.placement import Node, Resources


@dataclass(frozen=True)
class Machines:
    """Machines that have the same."""

    name: str
    has: Node
    count: int = 1


@dataclass(frozen=True)
class Share:
    """What machines of one kind hold. ``processes``: each; ``binds``: the resources that no more processes find."""

    machines: Machines
    processes: int
    binds: tuple[str, ...]


def joined() -> list[Machines]:
    """Those of the cluster that this process has joined."""
    import ray

    return [Machines(_name(node), node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _name(node: dict[str, str]) -> str:
    """The name of the machine, and with several Ray nodes on it, which one it is."""
    return f"{node['NodeManagerHostname']} {node['NodeID'][:6]}"


def one_by_one(machines: Iterable[Machines]) -> list[Node]:
    return [kind.has for kind in machines for _ in range(kind.count)]


def shares(resources: Resources, machines: Iterable[Machines]) -> list[Share]:
    """What runs where, those that hold most first. Machines that have the same of what is asked for are one kind."""
    takes = placement.bundle(resources)
    found: dict[tuple[float, ...], Machines] = {}
    for kind in machines:
        key = tuple(kind.has.get(name, 0) for name in takes)
        before = found.get(key)
        found[key] = replace(before, count=before.count + kind.count) if before else kind
    return sorted((_share(takes, kind) for kind in found.values()), key=lambda share: -share.processes)


def _share(takes: placement.Bundle, kind: Machines) -> Share:
    rooms = placement.rooms(takes, kind.has)
    least = min(rooms.values())
    return Share(kind, least, tuple(name for name, room in rooms.items() if room == least))


def total(found: Sequence[Share]) -> int:
    """Processes on all machines together."""
    return sum(share.processes * share.machines.count for share in found)

"""How many run at a time while nodes come and go, on clusters that are told to look so."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cluster.capacity import Capacity
from cluster.placement import Ask, PlacementError

NODE = {"CPU": 2.0}


@dataclass
class Cluster:
    """What it has changes at once; looking at it again takes a second of its clock."""

    machines: list[dict[str, float]]
    seconds: float = 0.0
    looks: int = 0
    said: list[str] = field(default_factory=list)

    def look(self):
        self.looks += 1
        return list(self.machines)

    def capacity(self, ask: Ask | None = None, limit: int | None = None, *, autoscale: bool = False) -> Capacity:
        return Capacity(
            ask or Ask(),
            limit,
            autoscale=autoscale,
            say=self.said.append,
            look=self.look,
            clock=lambda: self.seconds,
        )

    def become(self, *machines: dict[str, float]):
        self.machines, self.seconds = list(machines), self.seconds + 1.0


def test_it_follows_the_cluster():
    cluster = Cluster([NODE])
    capacity = cluster.capacity()
    found = [capacity.now]
    for machines in ([NODE, NODE], [NODE, NODE, {"CPU": 8.0}], [NODE], [], [NODE]):
        cluster.become(*machines)
        found.append(capacity.now)
    assert found == [2, 4, 12, 2, 0, 2]
    assert cluster.said == [
        "1 node joined: room for 4 at a time, 2 before",
        "1 node joined: room for 12 at a time, 4 before",
        "2 nodes left: room for 2 at a time, 12 before",
        "1 node left: waiting for one that can hold a trial",
        "1 node joined: room for 2 at a time, 0 before",
    ]


def test_a_node_of_no_use_is_no_news():
    cluster = Cluster([NODE])
    capacity = cluster.capacity(Ask(cpus=2))
    cluster.become(NODE, {"CPU": 1.0})
    assert capacity.now == 1
    assert cluster.said == []


def test_workers_of_a_trial_need_places_for_all_of_them():
    cluster = Cluster([NODE, NODE])
    capacity = cluster.capacity(Ask(workers=3))
    assert capacity.now == 1
    cluster.become(NODE, NODE, NODE)
    assert capacity.now == 2


def test_it_looks_once_in_a_second():
    cluster = Cluster([NODE])
    capacity = cluster.capacity()
    assert [capacity.now for _ in range(50)] == [2] * 50
    assert cluster.looks == 1


@pytest.mark.parametrize("autoscale", [False, True])
def test_never_more_than_the_limit(autoscale):
    cluster = Cluster([NODE, NODE])
    capacity = cluster.capacity(limit=3, autoscale=autoscale)
    assert capacity.now == 3
    cluster.become(*[NODE] * 50)
    assert capacity.now == 3


def test_without_a_place_it_does_not_begin():
    with pytest.raises(PlacementError, match="no machine of the cluster"):
        Cluster([NODE]).capacity(Ask(cpus=3))


def test_demand_doubles_where_the_cluster_adds_nodes():
    cluster = Cluster([])
    capacity = cluster.capacity(limit=9, autoscale=True)
    found = [capacity.now]
    for size in (1, 2, 4):
        cluster.become(*[NODE] * size)
        found.append(capacity.now)
    assert found == [1, 4, 8, 9]
    assert cluster.said[0] == "no node can hold a trial yet; waiting for the cluster to add some"

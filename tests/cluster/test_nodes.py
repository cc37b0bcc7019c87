"""Trials on real clusters of several nodes, which join and are killed while trials run."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSource, order
from machines import machines

from cluster import tune
from cluster.placement import Ask, PlacementError
from trainables.api import Outcome

pytestmark = pytest.mark.cluster


def nodes_of(source: FakeSource, *trials: str) -> set[float]:
    """Where these trials reported from."""
    return {report.metrics["node"] for trial in trials for report in source.reports[trial]}


@dataclass
class Happening:
    """Does something once, in the main thread, when a source is looked at and it is time."""

    when: Any
    what: Any
    done: list[Any] = field(default_factory=list)

    def __call__(self, source: FakeSource) -> bool:
        if not self.done and self.when(source):
            self.done.append(None)
            self.done[0] = self.what()
        return False


def test_nodes_that_join_get_trials_and_those_of_a_node_that_leaves_go_on_elsewhere(files, tmp_path):
    """One trial on one node, then two on two, then the first node is killed; its trial goes on where the other ends."""
    said: list[str] = []
    end = tmp_path / "end"
    with machines({"num_cpus": 1}) as cluster:
        (first,) = cluster.cluster.worker_nodes
        happenings = [
            Happening(lambda source: len(source.steps("t0")) >= 3, lambda: cluster.add(num_cpus=1)),
            Happening(
                lambda source: min(len(source.steps(t)) for t in ("t0", "t1")) >= 20, lambda: cluster.kill(first)
            ),
            Happening(lambda source: "t0" in source.endings and len(said) == 2, end.touch),
        ]
        orders = [order(f"t{n}", "linger", {"end": str(end)}, folder=str(tmp_path / f"t{n}")) for n in range(3)]
        source = FakeSource(orders, stop_when=lambda source: any(happening(source) for happening in happenings))
        tune.run(source, files, resources=Ask(), say=said.append)
    assert {t: source.outcomes(t) for t in source.given} == {
        "t0": [Outcome.LOST, Outcome.DONE],
        "t1": [Outcome.DONE],
        "t2": [Outcome.DONE],
    }
    assert files.steps("t0", 2)[0] > 1, "it went on from its checkpoint"
    assert len(nodes_of(source, "t0")) == 2
    assert nodes_of(source, "t1") == nodes_of(source, "t2") < nodes_of(source, "t0")
    assert said == [
        "1 node joined: room for 2 at a time, 1 before",
        "1 node left: room for 1 at a time, 2 before",
    ]


@pytest.mark.slow
def test_what_each_process_takes_is_found_on_the_right_node(files):
    nodes = (
        {"num_cpus": 2, "memory": 1_000_000_000, "resources": {"slot": 1}},
        {"num_cpus": 2, "memory": 1_000_000_000, "num_gpus": 1, "resources": {"accelerator_type:H100": 1}},
        {"num_cpus": 1, "memory": 3_000_000_000},
    )
    asks = {
        "slot": Ask(custom={"slot": 0.5}),
        "H100": Ask(accelerator="H100", gpus=0.25),
        "memory": Ask(cpus=0.25, memory=1_500_000_000),
    }
    with machines(*nodes):
        homes = {}
        for name, ask in asks.items():
            source = FakeSource([order(f"{name}{n}", "reside", {"steps": 1}) for n in range(2)])
            tune.run(source, files, resources=ask)
            assert {t: source.outcomes(t) for t in source.given} == {t: [Outcome.DONE] for t in source.given}
            homes[name] = nodes_of(source, *source.given)
        with pytest.raises(PlacementError, match=r"2 CPUs \(H100\), too few of CPU"):
            tune.run(FakeSource([]), files, resources=Ask(accelerator="H100", cpus=3))
    assert [len(home) for home in homes.values()] == [1, 1, 1]
    assert len(set.union(*homes.values())) == 3


@pytest.mark.slow
def test_an_attempt_that_is_given_a_larger_share_of_a_gpu_gets_it(files):
    """Of one GPU: two quarters at a time, and the half that follows them in processes of its own."""
    shares = {"a": 0.25, "b": 0.25, "c": 0.5, "d": 0.25}
    with machines({"num_cpus": 4, "num_gpus": 1}):
        source = FakeSource([order(name, "given", gpus=share) for name, share in shares.items()])
        tune.run(source, files, resources=Ask(gpus=0.25))
    assert {name: source.reports[name][0].metrics["gpus"] for name in shares} == shares


@pytest.mark.slow
def test_data_come_to_each_node_once(files, tmp_path):
    """Two nodes with a disk of their own, two processes on each: one is built, each node gets one copy."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("needs a second file system at /dev/shm")
    disks = [Path(tempfile.mkdtemp(dir="/dev/shm")) for _ in range(2)]
    config = {"log": str(tmp_path / "log"), "store": str(tmp_path)}
    try:
        with machines(*({"num_cpus": 2, "env_vars": {"XDG_CACHE_HOME": str(disk)}} for disk in disks)):
            orders = [order(f"t{n}", "fetch", config, store=str(tmp_path / "store")) for n in range(8)]
            source = FakeSource(orders)
            tune.run(source, files, resources=Ask())
    finally:
        for disk in disks:
            shutil.rmtree(disk)
    reports = [source.reports[f"t{n}"][0].metrics for n in range(8)]
    assert (tmp_path / "log").read_text() == "built\n"
    assert all(report["near"] for report in reports)
    read = {(report["node"], report["file"]) for report in reports}
    assert len(read) == len({node for node, _ in read}) == 2, "one file on each node"
    notes = [files.records(f"t{n}", kind="note")[0] for n in range(8)]
    assert len({note["value"] for note in notes}) == 1, "the same digest for all"

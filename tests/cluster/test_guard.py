"""Processes that hang are killed for real, and those on a machine that is about to go leave it with their state."""

from __future__ import annotations

import os
import signal

import pytest
from fakes import FakeSource, order
from machines import machines

from cluster import tune
from cluster.placement import Ask, Sizes
from trainables.api import Cause, Outcome

pytestmark = pytest.mark.cluster


@pytest.mark.usefixtures("ray_session")
def test_what_hangs_is_killed_and_goes_on(files, tmp_path):
    ways = ("sleep", "hold", "stop")
    orders = [order(way, "stall", {"way": way, "mark": str(tmp_path / f"{way}.mark")}) for way in ways]
    orders += [order("pulse", "pulse", {"pulses": 60}), order("count", "count", {"steps": 20, "sleep": 0.3})]
    source = FakeSource(orders)
    tune.run(source, files, resources=Ask(heartbeat_s=3))
    for way in ways:
        first, second = source.endings[way]
        assert (first.outcome, first.cause, second.outcome) == (Outcome.LOST, Cause.TIMEOUT, Outcome.DONE)
        assert "neither a report nor a pulse for 3 s" in first.error
    assert "time.sleep(600)" in source.endings["sleep"][0].error, "where it stood"
    assert "could not say where it stood" in source.endings["hold"][0].error
    assert source.outcomes("pulse") == source.outcomes("count") == [Outcome.DONE]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_one_that_hangs_in_a_cohort_is_found_out(files, tmp_path):
    def given(n):
        bad = {"hang": 2} if n == 2 else {}
        return order(f"t{n}", "stack", {"steps": 3, **bad}, shape="s", seed=n)

    source = FakeSource([given(n) for n in range(4)], retries=0)
    tune.run(source, files, resources=Ask(heartbeat_s=2), sizes=Sizes(4), max_concurrent=1)
    assert source.outcomes("t2")[-1] == Outcome.LOST, "FakeSource has no word for given up"
    assert [ending.suspects for ending in source.endings["t2"]] == [4, 2, 1]
    assert all(source.outcomes(f"t{n}")[-1] == Outcome.DONE for n in (0, 1, 3))


@pytest.mark.usefixtures("ray_session")
def test_a_process_that_is_sent_sigterm_loses_nothing(files, tmp_path):
    """It hands over its last reports, saves the state that belongs to them, and goes."""
    told: list[int] = []

    def tell(source):
        if len(source.steps("a")) >= 5 and not told:
            told.append(int((tmp_path / "rank-0").read_text()))
            os.kill(told[0], signal.SIGTERM)
        return False

    config = {"steps": 20, "sleep": 0.2, "here": str(tmp_path)}
    source = FakeSource([order("a", "announce", config, folder=str(tmp_path / "a"))], retries=0, stop_when=tell)
    tune.run(source, files, resources=Ask())
    first, second = source.endings["a"]
    assert (first.outcome, first.cause, second.outcome) == (Outcome.LOST, Cause.PREEMPTED, Outcome.DONE)
    assert source.steps("a") == files.steps("a", 1) + files.steps("a", 2) == list(range(1, 21)), "not one step twice"


def test_a_machine_that_is_told_to_leave_loses_nothing(files, tmp_path):
    """Its trial saves the state of its last report, and goes on with the next one on another machine."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    with machines({"num_cpus": 1}) as cluster:
        (first,) = cluster.cluster.worker_nodes
        told: list[bool] = []

        def leave(source):
            if len(source.steps("a")) >= 5 and not told:
                told.append(True)
                cluster.add(num_cpus=1)
                reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
                GcsClient(address=cluster.cluster.address).drain_node(first.node_id, reason, "spot", 0)
            return False

        config = {"steps": 40, "sleep": 0.2}
        source = FakeSource([order("a", "count", config, folder=str(tmp_path / "a"))], stop_when=leave)
        tune.run(source, files, resources=Ask())
    first, second = source.endings["a"]
    assert (first.outcome, first.cause, second.outcome) == (Outcome.LOST, Cause.PREEMPTED, Outcome.DONE)
    assert 5 <= files.steps("a", 1)[-1] < 40
    assert files.steps("a", 1) + files.steps("a", 2) == list(range(1, 41)), "not one step twice"

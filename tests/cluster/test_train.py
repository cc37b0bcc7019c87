"""Trials whose workers are processes of Ray Train. Starting them takes half a minute on two busy cores."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest
import ray
import torch
from fakes import FakeSource, order

from cluster import inline, tune
from cluster.placement import Ask
from trainables.api import Cause, Order, Outcome
from trainables.checkpoint import load
from trainables.supervised.classify import NOT_REPRODUCIBLE

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")


def digits(folder, workers, epochs=2) -> Order:
    config = {"model": {"name": "cnn", "width": 4}, "epochs": epochs, "batch_size": 128}
    return Order(
        trial="digits",
        trainable="supervised.classify",
        config=config,
        seed=0,
        workers=workers,
        folder=str(folder),
        keep_checkpoint=True,
        objectives=("loss/validation",),
    )


def all_cpus_come_back(seconds=15):
    until = time.monotonic() + seconds
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.1)
    return ray.available_resources().get("CPU") == 2


@pytest.mark.cluster
def test_two_workers_end_where_one_does(files, tmp_path):
    """The same global batch, so the same parameters and metrics, to float tolerance."""
    one, two = FakeSource([digits(tmp_path / "one", 0)]), FakeSource([digits(tmp_path / "two", 2)])
    inline.run(one, files)
    tune.run(two, files, resources=Ask(workers=2))
    assert two.outcomes("digits") == [Outcome.DONE]
    assert two.steps("digits") == one.steps("digits")
    for there, here in zip(two.reports["digits"], one.reports["digits"], strict=True):
        for name, value in here.metrics.items():
            if name not in NOT_REPRODUCIBLE:
                assert there.metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    expected, found = (load(tmp_path / name).state["fit"]["network"]["parameters"] for name in ("one", "two"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    assert all_cpus_come_back()


@pytest.mark.cluster
def test_a_worker_that_is_killed_costs_what_came_after_the_checkpoint(files, tmp_path):
    killed: list[int] = []

    def kill(source):
        if len(source.steps("pair")) >= 6 and not killed:
            killed.append(int((tmp_path / "rank-1").read_text()))
            os.kill(killed[0], signal.SIGKILL)
        return False

    config = {"steps": 14, "sleep": 0.3, "here": str(tmp_path)}
    pair = order("pair", "announce", config, workers=2, folder=str(tmp_path / "pair"))
    source = FakeSource([pair], stop_when=kill)
    tune.run(source, files, resources=Ask(workers=2))
    first, second = source.endings["pair"]
    assert (first.outcome, first.cause, second.outcome) == (Outcome.LOST, Cause.DIED, Outcome.DONE)
    assert "the workers of the attempt died" in first.error
    before, after = files.steps("pair", 1), files.steps("pair", 2)
    assert 1 < after[0] <= before[-1] + 1, "from its checkpoint"
    assert after == list(range(after[0], 15))
    assert all_cpus_come_back()


@pytest.mark.slow
def test_pruned_and_stopped_trials_give_everything_back(files, tmp_path):
    whole = digits(tmp_path / "trial", 2, epochs=5000)
    pruned = FakeSource([replace(whole, trial="pruned")], judge=lambda _, report: report.step < 27)
    tune.run(pruned, files, resources=Ask(workers=2))
    assert pruned.outcomes("pruned") == [Outcome.PRUNED]
    assert pruned.steps("pruned") == files.steps("pruned") == [9, 18, 27]
    assert all_cpus_come_back()
    stopped = FakeSource([whole], stop_when=lambda source: len(source.steps("digits")) >= 2)
    tune.run(stopped, files, resources=Ask(workers=2))
    assert stopped.outcomes("digits") == [Outcome.CANCELLED]
    assert load(tmp_path / "trial").step == files.steps("digits")[-1]
    assert all_cpus_come_back()


@pytest.mark.slow
def test_each_way_to_fail(files):
    endings = {"fail": Outcome.FAILED, "blow_up": Outcome.DIVERGED, "always_die": Outcome.LOST}
    source = FakeSource([order(name, name, workers=2) for name in endings], retries=0)
    tune.run(source, files, resources=Ask(workers=2))
    assert {name: source.outcomes(name) for name in endings} == {name: [end] for name, end in endings.items()}
    assert source.endings["fail"][0].error.endswith("ValueError: no such luck\n")
    assert "the workers of the attempt died" in source.endings["always_die"][0].error
    assert all_cpus_come_back()

"""The arithmetic of a plan, and its estimates."""

from __future__ import annotations

import pytest
from sweeps_for_tests import Life, sweep

from sweeps import plan, space
from sweeps.folder import create
from sweeps.ledger import Ledger


def test_trials_are_cells_times_points_times_seeds():
    made = plan.make(sweep(seeds={"tune": 2, "confirm": 3}), set())
    assert (made.tune, made.confirm) == (2 * 6 * 2, 2 * 3)


def test_plan_counts_what_the_search_then_runs():
    asked = sweep(seeds={"tune": 2, "confirm": 3})
    made = plan.make(asked, set())
    assert len(Life(asked).run().started) == made.tune + made.confirm


def test_time_is_that_of_all_trials_over_those_that_run_at_a_time():
    asked = sweep(resources={"gpus": 0.5})
    made = plan.make(asked, set(), seconds={"a=1": 10.0, "a=2": 30.0}, concurrent=4)
    assert made.trial_s == 9 * 10.0 + 9 * 30.0
    assert made.wall_s == made.trial_s / 4
    assert made.gpu_hours == pytest.approx(made.trial_s * 0.5 / 3600)
    assert plan.make(asked, set(), seconds={"a=1": 10.0}).wall_s is None


def test_limits_are_named_with_need_and_bound():
    made = plan.make(
        sweep(limits={"trials": 10, "hours": 0.01}), set(), seconds={"a=1": 10.0, "a=2": 30.0}, concurrent=1
    )
    assert made.exceeded() == [
        "limits.hours: the plan needs 0.1, the limit is 0.01",
        "limits.trials: the plan needs 18, the limit is 10",
    ]


def test_shapes_differ_only_by_fields_that_are_not_per_member():
    assert plan.make(sweep(), {("lr",), ("n",), ("a",)}).shapes == 1
    assert plan.make(sweep(), {("lr",), ("n",)}).shapes == 2
    choices = {"lr": {"low": 0.1, "high": 1.0}, "width": {"choices": [8, 16, 32]}}
    assert plan.make(sweep(nuisance=choices), {("lr",), ("a",)}).shapes == 3


def test_seconds_come_from_the_latest_run_of_the_sweep(tmp_path):
    run = create(tmp_path, "toy")
    (run / "sweep.lock.yaml").write_text("sweep: toy\n")
    with Ledger(run).open() as ledger:
        for trial, seconds in (("t1", 1.0), ("t2", 3.0)):
            ledger.record("planned", trial=trial, cell="a=1", phase="tune", point="p", seed=0, config={})
            ledger.record("done", trial=trial, attempt=1, seconds=seconds, error="")
    assert plan.past_seconds(sweep(), tmp_path) == {"a=1": 2.0}
    assert plan.past_seconds(sweep(sweep="other"), tmp_path) == {}


def test_middle_of_a_space():
    parameters = {
        "lr": {"low": 1e-4, "high": 1.0, "log": True},
        "x": {"low": 0.0, "high": 1.0, "step": 0.25},
        "n": {"low": 1, "high": 9},
        "kind": {"choices": ["a", "b"]},
    }
    asked = sweep(nuisance=parameters)
    assert plan.middle(space.parameters(asked, space.cells(asked)[0])) == {
        "lr": pytest.approx(1e-2),
        "x": 0.5,
        "n": 5,
        "kind": "a",
    }

"""Population-based training: who is replaced by whom, and that every trial of it can be run again from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweeps_for_tests import sweep

from analysis import records
from sweeps import resolve, run
from sweeps.population import Population
from sweeps.rerun import rerun
from sweeps.spec import Scheduler

RULE = Scheduler(name="pbt", interval_steps=10, quantile=0.25)

DECAY = '''
def train(config, trial):
    """A distance that shrinks by the learning rate, with noise from a stream; best with a rate that grows."""
    state = trial.restored or {"x": 1.0, "step": 0}
    if trial.restored:
        trial.streams.load_state_dict(state["streams"])
    x, noise = state["x"], trial.streams.numpy("noise")
    for step in range(state["step"] + 1, 41):
        x = x * (1 - config["lr"]) + 1e-4 * noise.normal()
        trial.checkpoint(lambda: {"x": x, "step": step, "streams": trial.streams.state_dict()})
        yield {"step": step, "loss": abs(x)}
'''

SWEEP = """
sweep: population
question: Does the schedule hold?
trainable: decay.py:train
nuisance: {lr: {low: 0.001, high: 0.2, log: true}}
objective: {minimize: loss}
search: {sampler: random, points: 8}
scheduler: {name: pbt, interval_steps: 10, quantile: 0.25}
seeds: {tune: 1, confirm: 2}
"""


def test_only_the_worst_are_replaced_and_only_by_the_best():
    population = Population(RULE, "minimize", 0)
    assert [population.donor(n, 10, float(n)) for n in range(3)] == [None] * 3
    assert population.donor(3, 10, 3.0) == (0, 10)
    assert population.donor(4, 10, -1.0) is None
    assert population.donor(5, 10, 9.0) == (4, 10)
    assert population.donor(5, 13, 99.0) is None, "judged at this interval already"
    assert population.donor(6, 9, 99.0) is None, "before the first interval"


def test_maximising_turns_the_order_round():
    population = Population(RULE, "maximize", 0)
    for n in range(3):
        population.donor(n, 10, float(n))
    assert population.donor(3, 10, -1.0) == (2, 10)


@pytest.mark.parametrize("number", range(30))
def test_perturbed_points_stay_in_their_space(number):
    space = sweep(
        nuisance={
            "lr": {"low": 1e-3, "high": 1.0, "log": True},
            "n": {"low": 1, "high": 5},
            "x": {"low": 0.0, "high": 1.0, "step": 0.25},
            "kind": {"choices": ["a", "b"]},
        }
    ).nuisance
    good = {"lr": 0.9, "n": 5, "x": 0.75, "kind": "a"}
    new = Population(RULE, "minimize", 0).perturbed(good, space, number, 10)
    assert 1e-3 <= new["lr"] <= 1.0
    assert isinstance(new["n"], int)
    assert 1 <= new["n"] <= 5
    assert new["x"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert new == Population(RULE, "minimize", 0).perturbed(good, space, number, 10)


@pytest.fixture
def finished(tmp_path):
    (tmp_path / "decay.py").write_text(DECAY)
    (tmp_path / "population.yaml").write_text(SWEEP)
    target = run.create(resolve.load(tmp_path / "population.yaml"), tmp_path / "runs")
    assert run.drive(target, run.Options(inline=True)) == "finished"
    return target


def decisions(target: Path, kind: str) -> list[dict]:
    return [r for r in records.read_decisions(target).records if r["kind"] == kind]


def test_winner_is_a_schedule_that_is_confirmed_on_fresh_seeds(finished):
    took_over = [r for r in decisions(finished, "planned") if r.get("earlier")]
    tuned = {r["trial"]: r for r in took_over if r["phase"] == "tune"}
    assert tuned, "nobody was replaced"
    assert len(decisions(finished, "pruned")) == len(tuned)
    confirmed = [r for r in decisions(finished, "planned") if r["phase"] == "confirm"]
    assert len(confirmed) == 2
    assert len(decisions(finished, "done")) == 8 + 2


def test_trial_that_took_over_equals_its_schedule_run_from_nothing(finished):
    took_over = next(r for r in decisions(finished, "planned") if r.get("earlier") and r["phase"] == "tune")
    steps = list(rerun(finished, took_over["trial"]))
    assert [step.step for step in steps] == list(range(1, 41))
    until = took_over["earlier"][-1][1]
    assert [step.known for step in steps] == [step.step > until for step in steps]
    assert not any(step.differ for step in steps)


def test_replay_brings_the_population_back(finished):
    before = (finished / records.DECISIONS).read_text()
    assert run.drive(finished, run.Options(inline=True)) == "finished"
    added = (finished / records.DECISIONS).read_text().removeprefix(before)
    assert {json.loads(line)["kind"] for line in added.splitlines()} == {"run"}


def test_states_that_trials_start_from_are_dropped_at_the_end(finished):
    assert not (finished / "milestones").exists()

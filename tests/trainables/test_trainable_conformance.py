"""Laws that every trainable under ``trainables/<area>/`` keeps, with its default config, over its first reports."""

from __future__ import annotations

import importlib
import math
import pkgutil

import pytest
import torch
from fake_trial import FakeTrial, drive

import trainables
from trainables.config import build, canonical, check

NUM_REPORTS = 3


def find():
    """The modules ``trainables.<area>.<name>`` that can run a trial."""
    names = (m.name for m in pkgutil.walk_packages(trainables.__path__, "trainables.") if m.name.count(".") == 2)
    modules = (importlib.import_module(name) for name in names)
    return {m.__name__.removeprefix("trainables."): m for m in modules if hasattr(m, "run_one")}


FOUND = find()


@pytest.fixture(params=FOUND)
def module(request):
    return FOUND[request.param]


def reports(module, trial, num_reports=NUM_REPORTS):
    found = drive(module.run_one, module.Config(), trial, num_reports)
    unstable = getattr(module, "NOT_REPRODUCIBLE", ())
    return [{key: value for key, value in report.items() if key not in unstable} for report in found]


def test_the_walk_finds_the_trainables():
    assert "supervised.classify" in FOUND


def test_defaults_are_valid_and_survive_a_round_trip(module):
    values = canonical(module.Config())
    assert check(module.Config, {}) == []
    assert build(module.Config, values) == module.Config()


def test_reports_are_finite_and_their_steps_grow(module):
    found = drive(module.run_one, module.Config(), FakeTrial(), NUM_REPORTS)
    assert all(math.isfinite(value) for report in found for value in report.values())
    assert all(type(value) in (int, float) for report in found for value in report.values())
    steps = [report["step"] for report in found]
    assert steps == sorted(set(steps))
    assert steps[-1] <= module.steps(module.Config())


def test_metrics_are_explained_exactly(module):
    for report in drive(module.run_one, module.Config(), FakeTrial(), NUM_REPORTS):
        assert set(report) == set(module.METRICS)
    assert set(getattr(module, "NOT_REPRODUCIBLE", ())) <= set(module.METRICS)


def test_same_seed_same_numbers_whatever_ran_before(module):
    first = reports(module, FakeTrial())
    torch.rand(7)
    assert reports(module, FakeTrial()) == first
    assert reports(module, FakeTrial(seed=1)) != first


def test_the_global_random_state_is_left_alone(module):
    before = torch.random.get_rng_state()
    reports(module, FakeTrial())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_stopped_trial_goes_on_as_if_nothing_had_been(module):
    whole, begun = FakeTrial(), FakeTrial()
    expected = reports(module, whole)
    first = reports(module, begun, 1)
    assert first + reports(module, FakeTrial(restored=begun.saved), NUM_REPORTS - 1) == expected


def test_looking_at_a_checkpoint_changes_nothing(module):
    """The framework saves whenever there is time: at other reports in every attempt."""

    class Deaf(FakeTrial):
        def checkpoint(self, state):
            pass

    assert reports(module, Deaf()) == reports(module, FakeTrial())

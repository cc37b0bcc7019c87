"""Laws that every trainable under ``trainables/<area>/`` keeps, with its default config, over its first reports."""

from __future__ import annotations

import importlib
import math
import pkgutil

import pytest
import torch
from fake_trial import FakeTrial, drive, drive_all

import trainables
from trainables import registry
from trainables.config import build, canonical, check

NUM_REPORTS = 3


def walk():
    """The names ``<area>.<name>`` of the modules that can run trials."""
    names = (m.name for m in pkgutil.walk_packages(trainables.__path__, "trainables.") if m.name.count(".") == 2)
    modules = {name.removeprefix("trainables."): importlib.import_module(name) for name in names}
    return [name for name, m in modules.items() if any(hasattr(m, function) for function in registry.DEFAULTS)]


FOUND = {name: registry.find(name) for name in walk()}


@pytest.fixture(params=FOUND)
def found(request):
    return FOUND[request.param]


@pytest.fixture
def module(found):
    return found.module


@pytest.fixture(params=[name for name, found in FOUND.items() if found.stacks])
def stacked(request):
    return FOUND[request.param]


def reports(found, trial, num_reports=NUM_REPORTS):
    return [stable(found, report) for report in drive(found.run, found.build({}), trial, num_reports)]


def stable(found, report):
    return {key: value for key, value in report.items() if key not in found.not_reproducible}


def test_the_walk_finds_the_trainables():
    assert "supervised.classify" in FOUND


def test_defaults_are_valid_and_survive_a_round_trip(module):
    values = canonical(module.Config())
    assert check(module.Config, {}) == []
    assert build(module.Config, values) == module.Config()


def test_reports_are_finite_and_their_steps_grow(found):
    made = drive(found.run, found.build({}), FakeTrial(), NUM_REPORTS)
    assert all(math.isfinite(value) for report in made for value in report.values())
    assert all(type(value) in (int, float) for report in made for value in report.values())
    steps = [report["step"] for report in made]
    assert steps == sorted(set(steps))
    assert steps[-1] <= found.steps(found.build({}))


def test_metrics_are_explained_exactly(found):
    for report in drive(found.run, found.build({}), FakeTrial(), NUM_REPORTS):
        assert set(report) == set(found.metrics)
    assert set(found.not_reproducible) <= set(found.metrics)


def test_same_seed_same_numbers_whatever_ran_before(found):
    first = reports(found, FakeTrial())
    torch.rand(7)
    assert reports(found, FakeTrial()) == first
    assert reports(found, FakeTrial(seed=1)) != first


def test_the_global_random_state_is_left_alone(found):
    before = torch.random.get_rng_state()
    reports(found, FakeTrial())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_stopped_trial_goes_on_as_if_nothing_had_been(found):
    whole, begun = FakeTrial(), FakeTrial()
    expected = reports(found, whole)
    first = reports(found, begun, 1)
    assert first + reports(found, FakeTrial(restored=begun.saved), NUM_REPORTS - 1) == expected


def test_looking_at_a_checkpoint_changes_nothing(found):
    """The framework saves whenever there is time: at other reports in every attempt."""

    class Deaf(FakeTrial):
        def checkpoint(self, state):
            pass

    assert reports(found, Deaf()) == reports(found, FakeTrial())


def test_a_cohort_reports_for_each_trial_what_it_reports_alone(stacked):
    trials = [FakeTrial(seed=seed) for seed in range(3)]
    together = drive_all(stacked.run, [stacked.build({})] * 3, trials, NUM_REPORTS)
    for seed, made in enumerate(together):
        alone = reports(stacked, FakeTrial(seed=seed))
        assert len(made) == len(alone)
        for report, expected in zip(made, alone, strict=True):
            assert stable(stacked, report) == pytest.approx(expected, rel=1e-3)


def test_a_trial_that_has_ended_leaves_the_cohort_and_changes_nothing_for_the_others(stacked):
    first, second = FakeTrial(seed=0), FakeTrial(seed=1)
    made: list[list] = [[], []]
    for round_ in stacked.run([stacked.build({})] * 2, [first, second]):
        for number, report in round_.items():
            made[number].append(stable(stacked, report))
        first.wanted = False
        if len(made[1]) == NUM_REPORTS:
            break
    assert len(made[0]) == 1
    for report, expected in zip(made[1], reports(stacked, FakeTrial(seed=1)), strict=True):
        assert report == pytest.approx(expected, rel=1e-3)

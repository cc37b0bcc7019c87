"""When a network fits, when it generalises, and when its trial ends."""

from __future__ import annotations

import math

import pytest
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import delay
from trainables.config import build

QUICK = {
    "data": {"name": "gaussian_mixture", "num_examples": 300, "separation": 4.0},
    "optimizer": {"lr": 0.01},
    "epochs": 12,
    "batch_size": 32,
}


def run(trial=None, num_reports=None, **settings):
    return drive(delay.run, build(delay.Config, QUICK | settings), trial or FakeTrial(), num_reports)


def first(reports, metric, threshold):
    """The number of the first report at which a metric has reached a threshold."""
    return next((n for n, report in enumerate(reports, 1) if report[metric] >= threshold), len(reports))


def test_times_are_those_of_the_first_report_that_reached_the_threshold():
    reports = run(fit_at=0.97, generalise_at=0.95)
    last = reports[-1]
    assert last["fitted"] == last["generalised"] == 1
    assert last["epochs_to_fit"] == first(reports, "accuracy/train", 0.97) > 1
    assert last["epochs_to_generalise"] == first(reports, "accuracy/test", 0.95)
    assert last["delay"] == pytest.approx(math.log10(last["epochs_to_generalise"] / last["epochs_to_fit"]))


def test_what_is_not_reached_counts_as_not_yet():
    reports = run(fit_at=1.0, model="linear", data={**QUICK["data"], "separation": 0.5})
    assert [report["epochs_to_fit"] for report in reports] == list(range(1, 13))
    assert {report["fitted"] for report in reports} == {0}


@pytest.mark.parametrize("until", ["fitted", "both"])
def test_a_trial_ends_as_soon_as_it_has_reached_what_it_was_for(until):
    whole, trial = run(fit_at=0.97), FakeTrial()
    reports = run(trial, fit_at=0.97, until=until)
    wanted = ["epochs_to_fit"] if until == "fitted" else ["epochs_to_fit", "epochs_to_generalise"]
    assert len(reports) == max(whole[-1][name] for name in wanted) < len(whole)
    assert reports == whole[: len(reports)]
    assert run(FakeTrial(restored=trial.saved), fit_at=0.97, until=until) == []


def test_times_survive_a_stop():
    begun = FakeTrial()
    run(begun, num_reports=6, fit_at=0.9)
    assert run(FakeTrial(restored=begun.saved), fit_at=0.9)[-1] == run(fit_at=0.9)[-1]


def test_who_ends_early_leaves_the_others_alone():
    config = build(delay.Config, QUICK | {"fit_at": 0.97, "until": "fitted"})
    together = drive_all(delay.run, [config] * 4, [FakeTrial(seed=seed) for seed in range(4)])
    lengths = [len(reports) for reports in together]
    assert len(set(lengths)) > 1
    for seed, reports in enumerate(together):
        assert reports[-1] == pytest.approx(run(FakeTrial(seed=seed), fit_at=0.97, until="fitted")[-1], rel=1e-3)


def test_wrong_labels_take_longer_to_fit():
    settings = {"epochs": 60, "until": "fitted", "optimizer": {"lr": 0.05}, "schedule": "constant"}
    right, wrong = (run(split={"label_noise": noise}, **settings)[-1]["epochs_to_fit"] for noise in (0.0, 0.75))
    assert wrong > 1.5 * right

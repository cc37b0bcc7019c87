"""The capacity of training: against theory, and what is done on the way to it."""

from __future__ import annotations

import numpy as np
import pytest
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import emc, emc_gap, rung, samples
from trainables.capacity.ladder import Ladder, rungs
from trainables.config import ConfigError, build
from trainables.data import Examples, gaussian_images

NOISE = {"data": {"name": "gaussian_mixture", "separation": 0.0, "num_classes": 2, "num_examples": 120}}
LINEAR = NOISE | {"model": {"name": "linear"}, "batch_size": 200, "test_fraction": 0.0, "schedule": "constant"}


def linear(inputs, **settings):
    """A linear classifier of two classes. Of each, ``inputs`` + 1 parameters."""
    return build(emc.Config, LINEAR | settings | {"data": NOISE["data"] | {"dimensions": inputs}})


def capacities(config, num_seeds):
    trials = [FakeTrial(seed=seed) for seed in range(num_seeds)]
    return np.array([made[-1]["emc"] for made in drive_all(emc.run, [config] * num_seeds, trials)])


# --- theory -----------------------------------------------------------------------------------------------------------


def test_a_linear_classifier_fits_about_two_random_labels_per_parameter():
    """Cover, 1965, doi:10.1109/PGEC.1965.264137. Nested samples stop being separable after N tosses, d of them heads:
    mean 2 d, variance 2 d, whatever the inputs. Here d = 6, and the mean of 16 seeds has the deviation 0.9; that only
    every fifth size or so is tried takes up to 1 away."""
    found = capacities(linear(5, optimizer={"name": "adam", "lr": 0.3}, start=6, growth=1.2, updates=100), 16)
    assert found.mean() == pytest.approx(11.5, abs=2.5)
    assert found.std() == pytest.approx(12**0.5, rel=0.6)


REGRESSION = {"loss": "squared_error", "fit_loss": 1e-3, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.95}}


def test_linear_regression_fits_exactly_one_per_parameter():
    """Never more than equations can be solved; the last one may be too badly conditioned to get there."""
    found = capacities(linear(4, **REGRESSION, start=4, growth=1.05, updates=250), 6)
    assert set(found) <= {4, 5}
    assert found.max() == 5


@pytest.mark.slow
def test_cover_and_regression_with_more_parameters():
    classified = capacities(linear(23, optimizer={"name": "adam", "lr": 0.1}, start=30, growth=1.03, updates=2000), 32)
    assert classified.mean() == pytest.approx(48, rel=0.08)
    regressed = capacities(linear(23, **REGRESSION, start=20, growth=1.03, updates=4000), 8)
    assert set(regressed) <= {22, 23, 24}


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_sizes_grow_to_the_last_one():
    assert rungs(4, 1.5, 20) == (4, 6, 9, 13, 19, 20)
    assert rungs(1, 1.01, 4) == (1, 2, 3, 4)
    assert rungs(50, 2.0, 20) == (20,)


def climbed(*successes, patience=2):
    ladder = Ladder(sizes=(1, 2, 4, 8, 16), patience=patience)
    for fitted in successes:
        assert not ladder.over
        ladder = ladder.climbed(fitted)
    return ladder


def test_the_largest_success_counts_and_failures_in_a_row_end_the_search():
    assert climbed(True, False, True, False, False).largest == 4
    assert climbed(True, False, False).over
    assert not climbed(True, False, True, False).over
    assert climbed(False, patience=1).over
    assert climbed(False, False).largest == 0


def test_a_capacity_that_the_data_end_is_censored():
    assert climbed(*[True] * 5).censored
    assert not climbed(True, True, True, True, False).censored


# --- samples ----------------------------------------------------------------------------------------------------------


def examples(num=40, twice=0):
    inputs = np.random.default_rng(0).standard_normal((num, 3)).astype("float32")
    inputs = np.concatenate([inputs, inputs[:twice]])
    return Examples(inputs, np.arange(len(inputs)) % 4, tuple("abcd"))


def test_samples_are_nested_and_each_seed_has_its_own():
    one, other = (samples.pool(examples(), 0.25, 1.0, seed) for seed in (0, 1))
    parts = samples.stacked([one, other], examples(), "cpu")
    small, large = (samples.first(parts, [1], size)["train"] for size in (5, 20))
    assert large.rows[:, :5].equal(small.rows)
    assert large.labels[:, :5].equal(small.labels)
    assert set(one["train"].rows) == set(other["train"].rows)
    assert list(one["train"].rows) != list(other["train"].rows)
    assert list(one["test"].rows) == list(other["test"].rows)
    assert not set(one["test"].rows) & set(one["train"].rows)


def test_what_occurs_twice_is_left_out_once():
    part = samples.pool(examples(40, twice=7), 0.0, 1.0, 0)
    assert len(part["train"].rows) == 40
    assert "test" not in part


@pytest.mark.parametrize(("fraction", "kept"), [(0.0, 1.0), (0.5, 0.625), (1.0, 0.25)])
def test_random_labels_agree_with_the_old_ones_by_chance_only(fraction, kept):
    made = examples(4000)
    part = samples.pool(made, 0.25, fraction, 0)
    assert np.mean(part["train"].labels == made.labels[part["train"].rows]) == pytest.approx(kept, abs=0.03)
    assert (part["test"].labels == made.labels[part["test"].rows]).all()


def test_gaussian_images_are_noise_of_equal_classes():
    made = gaussian_images.Config(num_examples=3000, channels=2, side=5, num_classes=3).load()
    assert made.shape == (2, 5, 5)
    assert made.inputs.mean() == pytest.approx(0, abs=0.02)
    assert made.inputs.std() == pytest.approx(1, abs=0.02)
    assert np.bincount(made.labels).tolist() == [1000] * 3


# --- training at one size ---------------------------------------------------------------------------------------------

SMALL = {"model": {"name": "mlp", "width": 4, "depth": 1}, "start": 40, "most": 40, "check_every": 20}


def outcome(num=1, **settings):
    config = build(emc.Config, SMALL | settings)
    made = config.data.load()
    pools = [samples.pool(made, config.test_fraction, config.random_labels, seed) for seed in range(num)]
    parts = samples.first(samples.stacked(pools, made, "cpu"), range(num), 40)
    return rung.train([config] * num, list(range(num)), parts, "cpu", lambda: None)


def test_it_stops_as_soon_as_everything_is_right():
    (found,) = outcome(updates=2000, random_labels=0.0, optimizer={"name": "adam", "lr": 0.02})
    assert found.fitted
    assert found.accuracy == 1
    assert found.steps < 1000
    assert found.test_accuracy > 0.4


def test_what_does_not_fit_takes_the_whole_budget_and_has_not_settled():
    (found,) = outcome(updates=50)
    assert (found.fitted, found.settled, found.steps) == (False, False, 50)
    assert found.accuracy < 1


def test_training_ends_where_the_loss_is_flat_and_the_gradient_is_gone():
    """A linear classifier that cannot fit has one minimum, where its Hessian has no direction that goes down."""
    config = {"model": {"name": "linear"}, "data": NOISE["data"] | {"dimensions": 2}, "updates": 600}
    full = {"batch_size": 40, "optimizer": {"name": "sgd", "lr": 0.5}, "schedule": "constant", "check_minimum": True}
    (found,) = outcome(**config, **full)
    assert found.settled
    assert not found.fitted
    assert found.steps < 600
    assert found.gradient_ratio < 1e-3
    assert found.curvature_ratio > -1e-4


def test_training_does_not_end_on_a_saddle():
    """Weights of zero are a saddle of a network without biases: no gradient, no change, but a way down."""
    stuck = {"model": {"name": "two_layer", "width": 4, "bias": False}, "init_scale": 1e-12, "updates": 60}
    slow = {"optimizer": {"name": "sgd", "lr": 1e-6}, "batch_size": 40, "gradient_tolerance": 1e6}
    (blind,), (seeing,) = outcome(**stuck, **slow), outcome(**stuck, **slow, check_minimum=True)
    assert blind.settled
    assert not seeing.settled
    assert seeing.curvature_ratio < -0.5


def test_numbers_that_are_not_finite_are_a_failure():
    found = outcome(2, updates=200, optimizer={"name": "sgd", "lr": 1e38})
    assert not any(o.fitted or o.settled for o in found)
    assert found[0].steps < 200


def test_a_budget_in_passes_or_in_updates():
    passes, updates = (
        build(emc.Config, {"batch_size": 10, **s}) for s in ({"updates": 0, "epochs": 7}, {"updates": 7})
    )
    assert [passes.passes(n) for n in (5, 100)] == [7, 7]
    assert [updates.passes(n) for n in (5, 100)] == [7, 1]


# --- trials -----------------------------------------------------------------------------------------------------------


def test_reports_tell_how_far_it_is():
    config = build(emc.Config, SMALL | {"start": 4, "growth": 3.0, "updates": 60})
    made = drive(emc.run, config, FakeTrial())
    assert [report["step"] for report in made][:2] == [4, 12]
    assert made[-1]["emc"] == max(r["step"] * r["fitted"] for r in made)
    assert made[-1]["emc_per_parameter"] == made[-1]["emc"] / 310
    assert emc.steps(config) == 40


def test_true_and_random_labels_share_a_cohort():
    wider = SMALL | {"model": {"name": "mlp", "width": 16}, "updates": 100}
    configs = [build(emc.Config, wider | {"random_labels": fraction}) for fraction in (0.0, 1.0)]
    true, random = drive_all(emc.run, configs, [FakeTrial(), FakeTrial()])
    assert true[-1]["accuracy/test"] > 0.15 + random[-1]["accuracy/test"]
    assert true[-1]["emc"] >= random[-1]["emc"]


def test_without_a_test_part_nothing_is_tested():
    config = build(emc.Config, SMALL | {"updates": 20, "test_fraction": 0.0})
    assert "accuracy/test" not in drive(emc.run, config, FakeTrial())[-1]


def test_the_gap_is_that_of_both_capacities():
    gap = SMALL | {"start": 5, "growth": 2.0, "most": 20, "sample": 15, "updates": 80}
    trial = FakeTrial()
    found = drive(emc_gap.run, build(emc_gap.Config, gap), trial)
    last = found[-1]
    assert last["capacity_gap"] == last["emc/true"] - last["emc/random"] >= 0
    assert [report["step"] for report in found] == list(range(1, len(found) + 1))
    assert found[0]["accuracy/test"] == last["accuracy/test"] > 0.2
    assert trial.finished
    for number, fraction in (("true", 0.0), ("random", 1.0)):
        alone = {k: v for k, v in gap.items() if k != "sample"} | {"random_labels": fraction}
        assert drive(emc.run, build(emc.Config, alone), FakeTrial())[-1]["emc"] == last[f"emc/{number}"]


def test_a_gap_needs_a_test_part():
    with pytest.raises(ConfigError, match="test_fraction"):
        build(emc_gap.Config, {"test_fraction": 0.0})

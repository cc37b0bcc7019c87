"""The closed form of gradient descent on random features."""

from __future__ import annotations

import pytest
import torch
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import random_features
from trainables.capacity.random_features import gone
from trainables.config import build


def run(trial=None, **settings):
    config = build(random_features.Config, {"num_train": 60, "num_test": 200} | settings)
    return drive(random_features.run, config, trial or FakeTrial())


def problem(rows=12, columns=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, columns, dtype=torch.float64, generator=generator),
        torch.randn(rows, 3, dtype=torch.float64, generator=generator),
    )


def closed_form(features, targets, ridge, num_steps):
    left, values, right = torch.linalg.svd(features, full_matrices=False)
    return right.mT @ (gone(values[None], values[None] ** 2 + ridge, num_steps)[0, :, None] * (left.mT @ targets))


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("num_steps", [1, 10, 100])
def test_it_is_what_so_many_steps_of_gradient_descent_give(ridge, num_steps):
    features, targets = problem()
    weights = torch.zeros(8, 3, dtype=torch.float64)
    rate = 1 / (torch.linalg.matrix_norm(features, 2) ** 2 + ridge)
    for _ in range(num_steps):
        weights = weights - rate * (features.mT @ (features @ weights - targets) + ridge * weights)
    torch.testing.assert_close(closed_form(features, targets, ridge, num_steps), weights)


def test_with_a_ridge_it_ends_at_the_ridge_regression():
    features, targets = problem()
    expected = torch.linalg.solve(features.mT @ features + 0.3 * torch.eye(8).double(), features.mT @ targets)
    torch.testing.assert_close(closed_form(features, targets, 0.3, 10**12), expected)


@pytest.mark.parametrize("shape", [(12, 8), (8, 12)])
def test_without_one_it_ends_at_the_least_squares_of_least_norm(shape):
    features, targets = problem(*shape)
    torch.testing.assert_close(closed_form(features, targets, 0, 10**12), torch.linalg.pinv(features) @ targets)


def test_directions_without_any_feature_stay_where_they_are():
    assert gone(torch.tensor([[2.0, 0.0]]), torch.tensor([[4.0, 0.0]]), 10).tolist() == [[0.5, 0.0]]


def test_more_features_than_examples_fit_everything_and_fewer_do_not():
    assert run(features_per_example=3.0)[-1]["squared_error/train"] < 1e-6
    assert run(features_per_example=0.3)[-1]["squared_error/train"] > 0.1


def test_the_error_peaks_at_one_feature_per_example_and_a_ridge_takes_the_peak_away():
    def error(ratio, **settings):
        return run(features_per_example=ratio, **settings)[-1]["error/test"]

    assert error(1.0) > max(error(0.25), error(4.0)) + 0.1
    assert error(1.0, ridge=0.1) < error(4.0, ridge=0.1) + 0.1


def test_the_training_error_never_grows_with_the_steps():
    losses = [report["squared_error/train"] for report in run()]
    assert losses == sorted(losses, reverse=True)


def test_members_may_differ_in_ridge_noise_and_steps():
    settings = [{"ridge": 0.1, "decades": 3}, {"label_noise": 0.5, "decades": 5}]
    configs = [build(random_features.Config, {"num_train": 60, "num_test": 200} | own) for own in settings]
    together = drive_all(random_features.run, configs, [FakeTrial(seed=0), FakeTrial(seed=1)])
    for seed, (own, reports) in enumerate(zip(settings, together, strict=True)):
        assert [report["gradient_steps"] for report in reports] == [10**k for k in range(own["decades"] + 1)]
        for report, alone in zip(reports, run(FakeTrial(seed=seed), **own), strict=True):
            assert report == pytest.approx(alone, rel=1e-6)


def test_too_few_examples_are_an_error_that_says_so():
    with pytest.raises(ValueError, match="expected at most the 1797 examples"):
        run(num_train=1700)

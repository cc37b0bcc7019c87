"""Gradient descent on all examples: where it is stable, and who moves where it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_trial import FakeTrial, drive

from trainables.capacity import edge_of_stability, opposing_signals
from trainables.capacity.opposing_signals import correlation, mover_share
from trainables.config import build, check
from trainables.data import gaussian_mixture
from trainables.training.partition import partition

DATA = {"name": "gaussian_mixture", "num_examples": 200, "dimensions": 5}
LINEAR = {"data": DATA, "model": "linear", "epochs": 20}


def config(**settings):
    return build(edge_of_stability.Config, LINEAR | settings)


def sharpness_of_linear(config, seed=0):
    """Of the squared error summed over classes: twice the second moment of the inputs with a 1 for the bias."""
    rng = FakeTrial(seed=seed).streams.numpy("data")
    examples = gaussian_mixture.Config(num_examples=200, dimensions=5).load()
    inputs = partition(examples, config.split, rng)["train"].inputs(examples)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    return 2 * np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1]


def test_the_sharpness_of_a_linear_model_is_that_of_its_inputs():
    chosen = config(optimizer={"lr": 1e-3})
    for report in drive(edge_of_stability.run, chosen, FakeTrial()):
        assert report["sharpness"] == pytest.approx(sharpness_of_linear(chosen), rel=1e-4)
        assert report["sharpness_ratio"] == pytest.approx(report["sharpness"] * 1e-3 / 2)


@pytest.mark.parametrize(("ratio", "increases"), [(0.9, 0), (1.1, 20)])
def test_on_a_quadratic_it_is_stable_exactly_below_the_edge(ratio, increases):
    lr = ratio * 2 / sharpness_of_linear(config())
    last = drive(edge_of_stability.run, config(optimizer={"lr": lr}, init_scale=20.0), FakeTrial())[-1]
    assert last["sharpness_ratio"] == pytest.approx(ratio, rel=1e-3)
    assert abs(last["loss_increases"] - increases) <= 3  # the first steps shrink the other directions


def test_momentum_moves_the_edge():
    assert config(optimizer={"lr": 0.1, "momentum": 0.5}).edge == pytest.approx(30)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": {"name": "adam"}}, "optimizer must be sgd"),
        ({"loss": {"name": "elr"}}, "remembers no examples"),
        ({"epochs": 25}, "multiple of report_every"),
    ],
)
def test_what_is_no_gradient_descent_is_refused(settings, said):
    (problem,) = check(edge_of_stability.Config, LINEAR | settings)
    assert said in problem.expected


def test_batches_are_refused():
    with pytest.raises(ValueError, match="batch_size: got 10, expected all"):
        drive(edge_of_stability.run, config(batch_size=10), FakeTrial())


def test_mover_share_counts_outliers_among_the_largest_changes():
    changes = torch.tensor([[5.0, -4.0, 1.0, 0.0], [0.1, 0.2, -3.0, 4.0]])
    outliers = torch.tensor([[True, False, True, False], [False, False, True, True]])
    assert mover_share(changes, outliers).tolist() == [0.5, 1.0]
    assert mover_share(changes, torch.zeros(2, 4, dtype=torch.bool)).tolist() == [0.0, 0.0]


def test_correlation_is_that_of_numpy_and_0_where_nothing_varies():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 9, 3))
    first[:, 2] = 1
    made = correlation(torch.tensor(first), torch.tensor(second)).tolist()
    assert made[:2] == pytest.approx([np.corrcoef(first[:, n], second[:, n])[0, 1] for n in (0, 1)])
    assert made[2] == pytest.approx(0)


def test_at_the_edge_outliers_move_against_each_other():
    settings = {"epochs": 100, "report_every": 50, "optimizer": {"lr": 0.2}}
    last = drive(opposing_signals.run, build(opposing_signals.Config, settings), FakeTrial())[-1]
    assert last["mover_share"] > 0.5
    assert last["opposition"] < -0.5
    calm = drive(
        opposing_signals.run, build(opposing_signals.Config, settings | {"data": {"outliers": 0.0}}), FakeTrial()
    )
    assert calm[-1]["mover_share"] == calm[-1]["opposition"] == calm[-1]["loss_increases"] == 0

"""The laws of the generators behind the phenomena."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.config import check
from trainables.data import modular_arithmetic, opposing_signals, shifted_moons, xor_clusters


def test_sums_are_all_there_and_right():
    examples = modular_arithmetic.Config(modulus=7).load()
    assert len({tuple(pair) for pair in examples.inputs.tolist()}) == 49
    assert np.array_equal(examples.inputs.sum(1) % 7, examples.labels)
    assert np.bincount(examples.labels).tolist() == [7] * 7


@pytest.mark.parametrize(("operation", "result"), [("subtract", 3), ("multiply", 3), ("sum of squares", 6)])
def test_other_operations(operation, result):
    examples = modular_arithmetic.Config(modulus=7, operation=operation).load()
    row = int(np.flatnonzero((examples.inputs == [5, 2]).all(1))[0])
    assert examples.labels[row] == (29 % 7 if operation == "sum of squares" else result)


def test_squares_need_an_odd_modulus():
    (problem,) = check(modular_arithmetic.Config, {"modulus": 8, "operation": "sum of squares"})
    assert "odd modulus" in problem.expected


def test_xor_clouds_lie_where_they_should_and_classes_have_one_mean():
    examples = xor_clusters.Config(num_examples=40_000, dimensions=16, separation=3.0).load()
    points = examples.inputs * 4  # it divides by the root of the dimensions
    for label in (0, 1):
        own = points[examples.labels == label]
        assert abs(own.mean(0)).max() < 0.1
        for sign in (-1, 1):
            cloud = own[np.sign(own[:, label]) == sign]
            assert cloud[:, label].mean() == pytest.approx(sign * 3 * 16**0.25, abs=0.05)
            assert cloud.std(0) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("margin", [-0.2, 0.3])
def test_moons_have_the_margin_and_lose_their_first_coordinate_in_the_test_part(margin):
    examples = shifted_moons.Config(margin=margin, noise=0.0).load()
    outer, inner = (examples.inputs[examples.labels == label] for label in (0, 1))
    assert outer[:, 1].min() - inner[:, 1].max() == pytest.approx(margin, abs=1e-3)
    test = examples.given["test"]
    train = np.setdiff1d(np.arange(len(examples.labels)), test)
    gaps = [_gap(examples.inputs[rows, 0], examples.labels[rows]) for rows in (train, test)]
    assert gaps[0] > 0.8
    assert gaps[1] < 0.15


def _gap(values, labels):
    return abs(values[labels == 0].mean() - values[labels == 1].mean())


def test_outliers_contradict_each_other_and_the_rest_follows_a_line():
    examples = opposing_signals.Config(outliers=0.1, magnitude=7.0).load()
    odd = examples.inputs[:, 0] != 0
    assert odd.mean() == pytest.approx(0.1)
    assert set(examples.inputs[odd, 0]) == {7}
    assert examples.labels[odd].mean() == 0.5
    others, signs = examples.inputs[~odd][:, 1:], 2 * examples.labels[~odd] - 1
    direction = np.linalg.lstsq(others, signs, rcond=None)[0]
    assert (np.sign(others @ direction) == signs).mean() > 0.95

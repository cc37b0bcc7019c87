"""Metrics of classifiers on cases made by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch.func import vmap
from torch.nn import functional

from trainables.metrics import accuracy, calibration_error, cross_entropy, temperature


def test_accuracy_counts_the_highest_score():
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0], [5.0, 1.0, 1.0]])
    assert accuracy(scores, torch.tensor([0, 2, 1, 1])) == 0.75


def binary(*confidences):
    return torch.tensor([[c, 1 - c] for c in confidences], dtype=torch.float64)


@pytest.mark.parametrize(
    ("confidences", "labels", "expected"),
    [
        ((1.0, 1.0), (0, 0), 0.0),  # sure and right
        ((1.0, 1.0), (1, 1), 1.0),  # sure and wrong
        ((0.75, 0.75, 0.75, 0.75), (0, 0, 0, 1), 0.0),  # right as often as it says
        ((0.9, 0.9, 0.6, 0.6), (0, 0, 0, 1), (2 * 0.1 + 2 * 0.1) / 4),  # two bins, off by 0.1 either way
        ((0.91, 0.93), (0, 1), 0.42),  # one bin: half right, 0.92 sure
        ((0.85, 0.95), (0, 1), (0.15 + 0.95) / 2),  # two bins: no cancelling
    ],
)
def test_calibration_error_by_hand(confidences, labels, expected):
    assert calibration_error(binary(*confidences), torch.tensor(labels)) == pytest.approx(expected)


def test_bins_hold_their_upper_edge():
    """With 4 bins 0.75 belongs to (1/2, 3/4], so it is not averaged with 0.8."""
    assert calibration_error(binary(0.75, 0.8), torch.tensor([0, 1]), num_bins=4) == pytest.approx((0.25 + 0.8) / 2)
    assert calibration_error(binary(0.76, 0.8), torch.tensor([0, 1]), num_bins=4) == pytest.approx(0.28)


@given(confidences=st.lists(st.floats(0.5, 1), min_size=1, max_size=30), data=st.data())
def test_one_bin_is_the_gap_of_the_means_and_more_bins_never_hide_it(confidences, data):
    labels = torch.tensor(data.draw(st.lists(st.integers(0, 1), min_size=len(confidences), max_size=len(confidences))))
    probabilities = binary(*confidences)
    correct = (labels == probabilities.argmax(1)).double().mean().item()
    gap = abs(correct - sum(confidences) / len(confidences))
    assert calibration_error(probabilities, labels, num_bins=1) == pytest.approx(gap)
    assert gap - 1e-9 <= calibration_error(probabilities, labels) <= 1 + 1e-9


def test_cross_entropy_is_that_of_torch():
    scores, labels = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 4
    assert cross_entropy(scores, labels).item() == pytest.approx(functional.cross_entropy(scores, labels).item())


@pytest.mark.parametrize("metric", [accuracy, calibration_error, cross_entropy, temperature])
def test_each_member_of_a_cohort_has_the_metric_that_it_has_alone(metric):
    scores = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    labels = torch.arange(60).view(3, 20) % 4
    alone = [metric(*pair).item() for pair in zip(scores, labels, strict=True)]
    assert vmap(metric)(scores, labels).tolist() == pytest.approx(alone, rel=1e-6)


def test_shapes_in_signatures_are_checked():
    """It fails if ``trainables.metrics`` was imported before the hook in ``tests/conftest.py`` was set."""
    with pytest.raises(TypeCheckError, match="labels"):
        accuracy(torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("true", [0.2, 1.0, 3.0])
def test_the_temperature_of_calibrated_scores_is_what_they_were_multiplied_by(true):
    scores = 2 * torch.randn(20000, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.multinomial(scores.softmax(1), 1, generator=torch.Generator().manual_seed(1)).squeeze(1)
    found = temperature(true * scores, labels)
    assert found.item() == pytest.approx(true, rel=0.03)
    assert calibration_error((true * scores / found).softmax(1), labels) < 0.015
    best = cross_entropy(true * scores / found, labels)
    for other in (0.98, 1.02):
        assert cross_entropy(true * scores / (other * found), labels) > best


def test_the_temperature_stays_in_its_range():
    scores, right = 0.3 * torch.eye(4), torch.arange(4)
    assert temperature(scores, right).item() == pytest.approx(0.05, rel=1e-4)
    assert temperature(scores, right.roll(1)).item() == pytest.approx(20, rel=1e-4)

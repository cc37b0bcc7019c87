"""Laws of planes through triplets and of how triplets are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.probes.planes import is_flat, through
from trainables.probes.triplets import triplets

LABELS = np.repeat(np.arange(5), 8)


def some(seed=0, count=7, features=12):
    return torch.randn(count, 3, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("features", [2, 3, 64])
def test_a_plane_passes_through_its_three_points(features):
    points = some(features=features)
    planes = through(points)
    assert torch.allclose(planes.at(planes.corners), points, atol=1e-12)


def test_axes_are_orthonormal_and_the_first_points_to_the_second_input():
    planes = through(some())
    assert torch.allclose(planes.axes @ planes.axes.mT, torch.eye(2, dtype=torch.float64).expand(7, 2, 2), atol=1e-12)
    assert torch.allclose(planes.corners[:, :2, 1], torch.zeros(7, 2, dtype=torch.float64), atol=1e-12)
    assert (planes.corners[:, 1, 0] > 0).all()
    assert (planes.corners[:, 2, 1] > 0).all()


def test_a_triangle_that_is_nearly_flat_still_has_orthonormal_axes():
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0.5, 2e-3, 0]]])
    axes = through(points).axes[0]
    assert torch.allclose(axes @ axes.T, torch.eye(2, dtype=torch.float64), atol=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_turning_and_shifting_all_inputs_turns_and_shifts_the_grid(seed):
    """So what is measured on planes does not depend on the coordinates of input space."""
    points = some(seed, count=2, features=5)
    turn = torch.linalg.qr(some(seed + 1, 1, 5)[0].new_ones(5, 5) * torch.eye(5) + some(seed, 1, 25)[0, 0].view(5, 5))[
        0
    ]
    shift = some(seed + 2, 1, 5)[0, 0]
    plain, moved = through(points), through(points @ turn.T + shift)
    grid = plain.grid(4, 0.1)
    assert torch.allclose(moved.grid(4, 0.1), grid, atol=1e-9)
    assert torch.allclose(moved.at(grid), plain.at(grid) @ turn.T + shift, atol=1e-9)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_the_plane_is_the_same_in_whatever_order_the_three_are_given(order):
    points = some()
    first, second = through(points), through(points[:, order])
    spans = [planes.axes.mT @ planes.axes for planes in (first, second)]
    assert torch.allclose(*spans, atol=1e-10)
    assert torch.allclose(second.at(second.corners)[:, np.argsort(order)], points, atol=1e-12)


def test_the_grid_reaches_beyond_the_triangle_by_the_given_share():
    points = torch.tensor([[[0.0, 0], [4, 0], [1, 2]]])
    places = through(points).grid(resolution=3, reach=0.25)[0]
    assert places.tolist() == [[a, b] for a in (-1.0, 2.0, 5.0) for b in (-0.5, 1.0, 2.5)]


@pytest.mark.parametrize(
    ("triangle", "flat"),
    [
        ([[0.0, 0], [1, 0], [0.3, 1e-4]], True),
        ([[0.0, 0], [1, 0], [0.3, 1e-2]], False),
        ([[0.0, 0], [0, 0], [1, 1]], True),
        ([[0.0, 0], [1, 1], [1, 1]], True),
        ([[2.0, 2], [2, 2], [2, 2]], True),
    ],
)
def test_which_triangles_are_too_flat(triangle, flat):
    assert is_flat(np.array([triangle])).tolist() == [flat]


def test_more_planes_leave_the_first_ones_as_they_are():
    assert (triplets(LABELS, 20, seed=3)[:5] == triplets(LABELS, 5, seed=3)).all()
    assert not (triplets(LABELS, 20, seed=4)[:5] == triplets(LABELS, 5, seed=3)).all()


@pytest.mark.parametrize("classes", ["any", "different", "equal"])
def test_triplets_are_three_examples_of_the_classes_that_were_asked_for(classes):
    drawn = triplets(LABELS, 40, 0, classes)
    assert all(len(set(three)) == 3 for three in drawn.tolist())
    counts = {len(set(LABELS[three])) for three in drawn}
    assert counts == {"any": counts, "different": {3}, "equal": {1}}[classes]
    if classes == "equal":
        assert LABELS[drawn[:, 0]].tolist() == [0, 1, 2, 3, 4] * 8


def test_every_example_may_be_drawn():
    assert set(triplets(LABELS, 200, 0).ravel()) == set(range(len(LABELS)))


def test_refused_triplets_are_drawn_again_and_the_others_stay():
    usual = triplets(LABELS, 30, 0)
    without = triplets(LABELS, 30, 0, refused=lambda three: 0 in three)
    assert 0 in usual
    assert 0 not in without
    kept = ~(usual == 0).any(1)
    assert (without[kept] == usual[kept]).all()


def test_nothing_to_span_a_plane_with_is_said():
    with pytest.raises(ValueError, match="expected three examples of different classes"):
        triplets(np.array([0, 1, 0, 1]), 1, 0, "different")
    with pytest.raises(ValueError, match="expected three examples of equal classes"):
        triplets(np.array([0, 1, 2]), 1, 0, "equal")
    with pytest.raises(ValueError, match="no three of these examples span a plane"):
        triplets(LABELS, 1, 0, refused=lambda _: True)

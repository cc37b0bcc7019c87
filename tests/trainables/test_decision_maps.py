"""Reproducibility, fragmentation and margin where they are known, and the laws that they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.probes.decision_maps import (
    above_chance,
    agreement_by_chance,
    fragmentation,
    regions,
    reproducibility,
)
from trainables.probes.margin import distances, margin
from trainables.probes.planes import through
from trainables.probes.portraits import portrait


def maps(seed=0, classes=4, shape=(6, 9, 9)):
    return np.random.default_rng(seed).integers(classes, size=shape)


def drawn(text):
    return np.array([[int(c) for c in line] for line in text.split()])


KNOWN = [
    ("000 000 000", 1),
    ("001 000 000", 2),
    ("010 101 010", 2),  # corners touch: two nets through each other
    ("010 000 010", 3),
    ("012 345 678", 9),
    ("10101 00000 10101", 7),
    ("1100 1100 0011 0011", 2),
    ("00000 01110 01010 01110 00000", 3),  # a ring cuts out its inside
]


@pytest.mark.parametrize(("text", "count"), KNOWN)
def test_regions_of_known_maps(text, count):
    assert regions(drawn(text)) == count


@pytest.mark.parametrize("seed", range(5))
def test_regions_do_not_depend_on_names_of_classes_or_how_the_map_lies(seed):
    own = maps(seed)
    renamed = np.array([7, 2, 9, 0])[own]
    turned = [np.rot90(own, axes=(1, 2)), own.swapaxes(1, 2), own[:, ::-1], own[::-1]]
    assert [fragmentation(one) for one in (renamed, *turned)] == pytest.approx([fragmentation(own)] * 5)


def test_fragmentation_is_the_mean_over_planes_and_at_least_the_number_of_classes_there():
    own = maps()
    assert fragmentation(own) == np.mean([regions(one) for one in own])
    assert all(regions(one) >= len(np.unique(one)) for one in own)


def test_a_network_agrees_with_itself_and_as_much_with_another_as_that_with_it():
    first, second = maps(0), maps(1)
    assert reproducibility(first, first) == 1
    assert reproducibility(first, second) == reproducibility(second, first) < 1
    assert reproducibility(first, (first + 1) % 4) == 0


def test_above_chance_is_0_for_independent_decisions_and_1_for_the_same():
    first, second = maps(0, shape=(50, 30, 30)), maps(1, shape=(50, 30, 30))
    chance = agreement_by_chance(first, second)
    assert chance == pytest.approx(0.25, abs=0.01)
    assert above_chance(reproducibility(first, second), chance) == pytest.approx(0, abs=0.01)
    assert above_chance(1.0, agreement_by_chance(first, first)) == 1
    everywhere = np.zeros((2, 3, 3), int)
    assert above_chance(reproducibility(everywhere, everywhere), agreement_by_chance(everywhere, everywhere)) == 0


def linear(weights, biases):
    """The decisions of linear classifiers, one for each member."""
    return lambda points: (points @ weights.mT + biases[:, None]).argmax(2)


@pytest.fixture
def classifiers():
    stream = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=stream, dtype=torch.float64) for shape in ((2, 4, 6), (2, 4))]


def test_the_regions_of_a_linear_classifier_are_convex_so_that_there_is_one_for_each_class(classifiers):
    """On a fine grid: on a coarse one a thin tip may come in pieces."""
    planes = through(torch.randn(10, 3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    points = planes.at(planes.grid(150, 0.5)).flatten(0, 1).expand(2, -1, -1)
    for own in linear(*classifiers)(points).view(2, 10, 150, 150).numpy():
        assert [regions(one) for one in own] == [len(np.unique(one)) for one in own]


def test_distances_to_the_boundary_of_a_linear_classifier_are_those_of_the_closed_form(classifiers):
    weights, biases = classifiers
    stream = torch.Generator().manual_seed(2)
    inputs = torch.randn(2, 20, 6, generator=stream, dtype=torch.float64)
    others = torch.randn(2, 20, 3, 6, generator=stream, dtype=torch.float64)
    found = distances(linear(weights, biases), inputs, others)
    way = others - inputs[:, :, None]
    expected = crossing(weights, biases, inputs, way)
    expected = torch.where(expected <= 2, expected * way.norm(dim=3), math.inf)
    assert torch.equal(found.isfinite(), expected.isfinite())
    met = found.isfinite()
    assert 0.2 < met.double().mean() < 1
    assert torch.allclose(found[met], expected[met], rtol=1e-3, atol=1e-3)


def crossing(weights, biases, inputs, way):
    """Where along the way some class overtakes the one at the input."""
    scores = inputs @ weights.mT + biases[:, None]
    gains = torch.einsum("mide,mce->midc", way, weights)
    top = scores.argmax(2)
    lead = scores.gather(2, top[..., None]) - scores
    faster = gains - gains.gather(3, top[..., None, None].expand(*gains.shape[:3], 1))
    return torch.where(faster > 0, lead[:, :, None] / faster, math.inf).amin(3)


def test_the_margin_leaves_out_inputs_that_meet_the_boundary_in_less_than_half_of_the_directions():
    inf = math.inf
    assert margin(torch.tensor([[1.0, 3.0, inf], [9.0, inf, inf], [4.0, 4.0, 4.0]])) == 3
    assert margin(torch.tensor([[1.0, inf]])) == 1
    assert margin(torch.tensor([[inf, inf]])) == inf


def test_distances_scale_with_the_inputs(classifiers):
    weights, biases = classifiers
    stream = torch.Generator().manual_seed(3)
    inputs, others = (torch.randn(2, 5, *more, 6, generator=stream, dtype=torch.float64) for more in ((), (2,)))
    small = distances(linear(weights, biases), inputs, others)
    large = distances(linear(weights / 10, biases), 10 * inputs, 10 * others)
    assert torch.allclose(10 * small, large)


def test_a_picture_has_a_row_per_network_and_a_column_per_plane_and_dots_at_the_inputs():
    shown = np.zeros((2, 3, 20, 20), int)
    shown[1] = 11
    corners = np.array([[[0.0, 0], [4, 0], [1, 2]]] * 3)
    picture = portrait(shown, corners, reach=0.1)
    assert picture.shape == (44, 68, 3)
    assert (picture[20:24] == 255).all()
    assert (picture[:, 20:24] == 255).all()
    colours = {tuple(colour) for colour in picture[:20, :20].reshape(-1, 3).tolist()}
    assert len(colours) == 2
    assert (0, 0, 0) in colours
    assert tuple(picture[18, 2]) == (0, 0, 0), "the first input is at the lower left"
    assert tuple(picture[18, 18]) == (0, 0, 0), "and the second at the lower right"
    assert tuple(picture[30, 10]) not in colours

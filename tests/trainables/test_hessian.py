"""Eigenvalues by Lanczos against those that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from trainables.probes.hessian import extreme_eigenvalues
from trainables.training.stacking import Stack


def matrices(*spectra):
    """Symmetric matrices with these eigenvalues, one for each member."""
    rng = np.random.default_rng(0)
    turns = [np.linalg.qr(rng.standard_normal((len(s), len(s))))[0] for s in spectra]
    return torch.tensor(np.stack([q @ np.diag(s) @ q.T for q, s in zip(turns, spectra, strict=True)]))


def ends(stack, rounds=40):
    start = torch.randn(stack.shape[:2], generator=torch.Generator().manual_seed(1), dtype=stack.dtype)
    least, largest = extreme_eigenvalues(lambda v: torch.einsum("mij,mj->mi", stack, v), start, rounds)
    return torch.stack([least, largest], 1).tolist()


def test_as_many_rounds_as_parameters_find_both_ends():
    found = ends(matrices([-3.0, 0.5, 1.0, 7.0], [2.0, 3.0, 4.0, 5.0]))
    assert found == [pytest.approx([-3, 7], abs=1e-6), pytest.approx([2, 5], abs=1e-6)]


def test_few_rounds_find_ends_that_stand_apart_and_never_leave_the_spectrum():
    spectrum = np.concatenate([[-20.0], np.linspace(-1, 1, 200), [50.0]])
    ((least, largest),) = ends(matrices(spectrum), rounds=20)
    assert least == pytest.approx(-20, abs=1e-3)
    assert largest == pytest.approx(50, abs=1e-3)
    ((least, largest),) = ends(matrices(spectrum), rounds=3)
    assert -20 <= least < largest <= 50


@pytest.mark.parametrize("value", [-2.0, 0.0, 3.0])
def test_one_eigenvalue_ends_the_search_at_once(value):
    """No vector is left after the first one, and none is made up."""
    assert ends(matrices([value] * 6, [value] * 6)) == [pytest.approx([value, value], abs=1e-9)] * 2


def test_a_member_that_has_no_vector_left_does_not_disturb_the_other():
    found = ends(matrices([1.0, 1.0, 1.0, 1.0], [-1.0, 2.0, 3.0, 4.0]))
    assert found == [pytest.approx([1, 1]), pytest.approx([-1, 4], abs=1e-6)]


@pytest.mark.parametrize("members", [1, 3])
def test_products_with_the_hessian_of_a_network_are_those_of_the_closed_form(members):
    """Mean squared output of a linear layer: the Hessian is twice the second moment of its inputs."""
    networks = [nn.Linear(3, 1, bias=False) for _ in range(members)]
    for number, network in enumerate(networks):
        nn.init.constant_(network.weight, 1.0 + number)
    stack = Stack(networks)
    inputs = torch.arange(24.0).view(1, 8, 3).expand(members, 8, 3) / 10
    moment = inputs[0].T @ inputs[0] / 8
    direction = torch.randn(members, 3, generator=torch.Generator().manual_seed(0))
    gradient, product = stack.curve(lambda network, x: network(x).square().mean(), direction, inputs)
    assert torch.allclose(product, 2 * direction @ moment, rtol=1e-5)
    assert torch.allclose(gradient, 2 * stack.parameters @ moment, rtol=1e-5)


def test_at_rest_nothing_is_dropped_and_nothing_is_changed():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 1))
    stack = Stack([network])
    before = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    inputs, direction = torch.ones(1, 4, 2), torch.ones_like(stack.parameters)
    first, second = (stack.curve(lambda n, x: n(x).square().mean(), direction, inputs) for _ in range(2))
    assert torch.equal(first[1], second[1])
    assert all(torch.equal(buffer, before[name]) for name, buffer in stack.buffers.items())

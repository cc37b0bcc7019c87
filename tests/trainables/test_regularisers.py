"""Every regulariser: closed forms, and gradients that point where they should."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.config import Component
from trainables.training.regularisers import confidence, decoupling, l1, none, orthogonal, r_drop, spectral, z_loss

REGULARISERS = Component("trainables.training.regularisers")
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = {
    "1.weight": torch.randn(7, 4, generator=GENERATOR).double(),
    "1.bias": torch.ones(7).double(),
    "2.weight": torch.randn(3, 2, 2, 2, generator=GENERATOR).double(),
}
LOGITS = torch.randn(16, 5, generator=GENERATOR).double()
LABELS = torch.arange(16) % 5


def penalty(config, weights=WEIGHTS, logits=LOGITS):
    return config.penalty(weights, logits, LABELS)


@pytest.mark.parametrize("name", REGULARISERS.names())
def test_a_penalty_is_one_number_in_proportion_to_its_strength(name):
    config = REGULARISERS.config(name)
    assert penalty(config()).shape == ()
    if name != "none":
        one, twice = penalty(config(strength=0.5)), penalty(config(strength=1.0))
        torch.testing.assert_close(2 * one, twice)
        assert one != 0
        assert penalty(config(strength=0.0)) == 0


def test_none_is_nothing():
    assert penalty(none.Config()) == 0


def test_the_spectral_penalty_is_half_the_squared_spectral_norms():
    norms = [torch.linalg.matrix_norm(tensor.flatten(1), 2) for tensor in WEIGHTS.values() if tensor.ndim > 1]
    expected = 0.3 / 2 * sum(norm**2 for norm in norms)
    assert penalty(spectral.Config(strength=0.3, rounds=100)).item() == pytest.approx(expected.item())
    assert penalty(spectral.Config(strength=0.3)).item() == pytest.approx(expected.item(), rel=0.02)


def test_the_gradient_of_the_spectral_penalty_is_along_the_top_singular_vectors():
    matrix = WEIGHTS["1.weight"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(spectral.Config(strength=0.3, rounds=200), {"w": matrix}), matrix)
    left, values, right = torch.linalg.svd(matrix.detach(), full_matrices=False)
    torch.testing.assert_close(gradient, 0.3 * values[0] * torch.outer(left[:, 0], right[0]))


def test_the_spectral_penalty_of_nothing_is_nothing():
    matrix = torch.zeros(3, 4, requires_grad=True)
    value = penalty(spectral.Config(), {"w": matrix})
    (gradient,) = torch.autograd.grad(value, matrix)
    assert value == 0
    assert torch.equal(gradient, torch.zeros(3, 4))


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_orthonormal_rows_or_columns_cost_nothing_and_others_their_distance(shape):
    matrix = torch.nn.init.orthogonal_(torch.empty(shape), generator=torch.Generator().manual_seed(1))
    assert penalty(orthogonal.Config(strength=1.0), {"w": matrix, "b": torch.ones(9)}) < 1e-10
    assert penalty(orthogonal.Config(strength=0.1), {"w": 2 * matrix}).item() == pytest.approx(0.1 * 3 * (4 - 1) ** 2)


def test_l1_sums_weights_and_no_biases():
    expected = sum(tensor.abs().sum().item() for name, tensor in WEIGHTS.items() if name != "1.bias")
    assert penalty(l1.Config(strength=0.1)).item() == pytest.approx(0.1 * expected)


def test_penalties_of_logits_have_their_closed_forms():
    even = torch.zeros(16, 5)
    assert penalty(confidence.Config(strength=0.2), logits=even).item() == pytest.approx(-0.2 * math.log(5))
    assert penalty(confidence.Config(), logits=1e3 * LOGITS).item() == pytest.approx(0, abs=1e-3)
    expected = 0.3 / 2 * LOGITS.square().mean().item()
    assert penalty(decoupling.Config(strength=0.3)).item() == pytest.approx(expected)
    assert penalty(z_loss.Config(strength=0.3), logits=even).item() == pytest.approx(0.3 * math.log(5) ** 2)
    assert penalty(z_loss.Config(strength=0.3), logits=even - math.log(5)).item() == pytest.approx(0, abs=1e-10)


def test_the_confidence_penalty_does_not_ask_for_the_height_of_the_logits():
    shifted = penalty(confidence.Config(), logits=LOGITS + 7)
    torch.testing.assert_close(shifted, penalty(confidence.Config()))


def test_r_drop_is_the_mean_of_both_divergences_between_the_passes():
    first, second = LOGITS.log_softmax(1).chunk(2)
    both = [torch.nn.functional.kl_div(*pair, log_target=True, reduction="batchmean")
            for pair in ((first, second), (second, first))]  # fmt: skip
    assert penalty(r_drop.Config(strength=0.3)).item() == pytest.approx(0.3 * sum(both).item() / 2)


def test_passes_that_say_the_same_cost_nothing_and_have_no_gradient():
    logits = torch.cat([LOGITS, LOGITS]).requires_grad_()
    value = penalty(r_drop.Config(), logits=logits)
    assert value == 0
    assert not torch.autograd.grad(value, logits)[0].any()

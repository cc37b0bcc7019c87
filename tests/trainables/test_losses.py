"""Every loss: closed forms, limits, and targets of both kinds."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from trainables.config import Component
from trainables.training.losses import (
    RememberingLossConfig,
    bootstrapping,
    cross_entropy,
    elr,
    encouraging,
    focal,
    generalised_cross_entropy,
    probabilities,
    squared_error,
)

LOSSES = {
    name: Component("trainables.training.losses").config(name)()
    for name in Component("trainables.training.losses").names()
}
LOGITS = 3 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.arange(64) % 5
P = LOGITS.softmax(1)[torch.arange(64), LABELS]
CE = -P.log()


def losses_of(config, logits=LOGITS, targets=LABELS):
    if isinstance(config, RememberingLossConfig):
        memory = config.start(*logits.shape).to(logits.dtype)
        return config.recall(logits, targets, memory)[0]
    return config.of(logits, targets)


def close(one, other):
    torch.testing.assert_close(one, other.to(one.dtype), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_classes_and_their_probabilities_are_the_same_targets(name):
    """And a mixture of two targets has the mixture of their losses, where the loss is a sum over classes."""
    soft = probabilities(LABELS, 5)
    close(losses_of(LOSSES[name], targets=soft), losses_of(LOSSES[name]))
    other = soft.roll(1, 1)
    mixed = losses_of(LOSSES[name], targets=0.25 * soft + 0.75 * other)
    if name != "squared_error":
        close(mixed, 0.25 * losses_of(LOSSES[name]) + 0.75 * losses_of(LOSSES[name], targets=other))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite_and_point_downhill_from_even_odds(name, scale):
    logits = (scale * LOGITS).float().requires_grad_()
    (gradient,) = torch.autograd.grad(losses_of(LOSSES[name], logits).sum(), logits)
    assert gradient.isfinite().all()
    even = torch.zeros(64, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(losses_of(LOSSES[name], even).sum(), even)
    assert (gradient[torch.arange(64), LABELS] < 0).all()


def test_focal_is_cross_entropy_that_counts_less_where_it_is_right():
    close(focal.Config(gamma=0.0).of(LOGITS, LABELS), CE)
    close(focal.Config(gamma=2.0).of(LOGITS, LABELS), (1 - P) ** 2 * CE)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_has_a_gradient_where_it_is_certain(gamma):
    logits = torch.tensor([[1e3, 0.0]], requires_grad=True)
    focal.Config(gamma=gamma).of(logits, torch.tensor([0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_generalised_cross_entropy_goes_from_cross_entropy_to_the_absolute_error():
    close(generalised_cross_entropy.Config(q=1e-7).of(LOGITS, LABELS), CE)
    close(generalised_cross_entropy.Config(q=1.0).of(LOGITS, LABELS), 1 - P)
    close(generalised_cross_entropy.Config(q=0.7).of(LOGITS, LABELS), (1 - P**0.7) / 0.7)


def test_truncation_leaves_unlikely_examples_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    losses = generalised_cross_entropy.Config(q=0.7, truncation=0.5).of(logits, LABELS)
    close(losses, torch.where(P > 0.5, (1 - P**0.7) / 0.7, (1 - 0.5**0.7) / 0.7))
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert torch.equal(gradient.abs().sum(1) > 0, P > 0.5)
    assert 0 < (P > 0.5).sum() < 64


def test_bootstrapping_mixes_in_what_the_network_says():
    entropy = -(LOGITS.softmax(1) * LOGITS.log_softmax(1)).sum(1)
    close(bootstrapping.Config(trust=0.8).of(LOGITS, LABELS), 0.8 * CE + 0.2 * entropy)
    certain = -LOGITS.softmax(1).amax(1).log()
    close(bootstrapping.Config(kind="hard", trust=0.8).of(LOGITS, LABELS), 0.8 * CE + 0.2 * certain)
    for kind in ("soft", "hard"):
        close(bootstrapping.Config(kind=kind, trust=1.0).of(LOGITS, LABELS), CE)


def test_the_encouraging_bonus_is_a_logarithm_with_a_tangent():
    bonus = encouraging.Config(threshold=0.6).of(LOGITS, LABELS) - CE
    line = math.log(0.4) - (P - 0.6) / 0.4
    close(bonus, torch.where(P > 0.6, line, (1 - P).log()))
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(encouraging.Config(threshold=1.0).of(logits, LABELS).sum(), logits)
    good = P > 0.5  # where the gradient of cross-entropy, p - 1, dies out, that of the sum stays -1
    close(gradient[torch.arange(64), LABELS][good & (P < 0.999)], torch.full((int((good & (P < 0.999)).sum()),), -1.0))


def test_squared_errors():
    onehot = functional.one_hot(LABELS, 5)
    close(squared_error.Config().of(LOGITS, LABELS), ((LOGITS - onehot) ** 2).sum(1))
    brier = squared_error.Config(outputs="probabilities")
    close(brier.of(LOGITS, LABELS), ((LOGITS.softmax(1) - onehot) ** 2).sum(1))
    close(brier.of(torch.zeros(2, 4), torch.tensor([0, 3])), torch.full((2,), 0.75))


def test_elr_remembers_the_running_mean_of_the_probabilities():
    config, p = elr.Config(strength=3.0, decay=0.7), LOGITS.softmax(1).clamp(1e-4, 1 - 1e-4)
    said = p / p.sum(1, keepdim=True)
    memory = config.start(64, 5).double()
    for number in range(1, 4):
        losses, memory = config.recall(LOGITS, LABELS, memory)
        close(memory, (1 - 0.7**number) * said)
    close(losses, CE + 3 * (1 - (memory * p).sum(1)).log())
    close(elr.Config(strength=0.0).recall(LOGITS, LABELS, memory)[0], cross_entropy.Config().of(LOGITS, LABELS))


def test_elr_pulls_towards_what_is_remembered_and_not_through_it():
    """The gradient is that of cross-entropy less strength times the pull, with the memory held fast."""
    config, logits = elr.Config(), LOGITS.clone().requires_grad_()
    _, memory = config.recall(LOGITS, LABELS, config.start(64, 5).double())
    losses, after = config.recall(logits, LABELS, memory)
    assert not after.requires_grad
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    p = LOGITS.softmax(1)
    inner = (after * p).sum(1, keepdim=True)
    inside = ((p > 1e-4) & (p < 1 - 1e-4)).all(1)
    expected = p - functional.one_hot(LABELS, 5) - 3 * p * (after - inner) / (1 - inner)
    close(gradient[inside], expected[inside])

"""One trial alone takes the steps that plain PyTorch takes."""

from __future__ import annotations

import pytest
import torch
from tiny import config
from torch.nn import functional

from trainables.seeding import Streams
from trainables.supervised import classify
from trainables.training import draws

RULES = {
    "sgd": ({"name": "sgd", "lr": 0.1, "momentum": 0.0}, torch.optim.SGD, {}),
    "momentum": ({"name": "sgd", "lr": 0.1, "momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8}),
    "nesterov": (
        {"name": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    ),
    "decay": ({"name": "sgd", "lr": 0.1, "weight_decay": 0.1}, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "adam": ({"name": "adam", "lr": 0.01, "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    "adam betas": (
        {"name": "adam", "lr": 0.01, "beta1": 0.7, "beta2": 0.9, "epsilon": 1e-3},
        torch.optim.Adam,
        {"betas": (0.7, 0.9), "eps": 1e-3},
    ),
    "adamw": ({"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
}
STEPS = 12  # 3 epochs


class Alone:
    id, seed, device, rank, world_size, restored = "t", 5, "cpu", 0, 1, None

    def __init__(self):
        self.streams = Streams(self.seed)

    def note(self, key, value):
        pass


def fitted(**settings):
    """The fit, its training examples, and its network as it was at the start."""
    made = config(epochs=3, **settings)
    fit, parts = classify.begin([made], [Alone()])
    return fit, parts["train"], made.model.build((1, 8, 8), 4, Streams(5).torch("init"))


def plain(network, train, kind, options, schedule, smoothing=0.0, clip=None):
    """The same by hand, on the batches that the trial draws."""
    optimizer, norms = kind(network.parameters(), **options), []
    peak = optimizer.param_groups[0]["lr"]
    for step in range(STEPS):
        order = draws.permutation(draws.key_of(5, "order"), torch.tensor(step // 4), train.count)
        rows = order[16 * (step % 4) :][:16]
        optimizer.param_groups[0]["lr"] = peak * schedule.factor(step, STEPS)
        optimizer.zero_grad()
        logits = network(train.inputs[train.rows[0, rows]])
        functional.cross_entropy(logits, train.labels[0, rows], label_smoothing=smoothing).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(), clip or torch.inf).item())
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in network.parameters()]), norms[-1]


def assert_same(settings, kind, options, **extra):
    fit, train, network = fitted(**settings)
    expected, norm = plain(network, train, kind, options, fit.recipe.schedule, **extra)
    for _ in range(3):
        fit.run_epoch()
    torch.testing.assert_close(fit.stack.parameters[0], expected, rtol=1e-4, atol=2e-6)
    assert fit.gradient_norm.item() == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_optimizers(rule, schedule):
    ours, kind, options = RULES[rule]
    assert_same({"optimizer": ours, "schedule": schedule}, kind, {"lr": ours["lr"], **options})


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_models(model):
    ours, kind, options = RULES["momentum"]
    assert_same({"model": model, "optimizer": ours}, kind, {"lr": ours["lr"], **options})


@pytest.mark.parametrize("clip", [0.05, 0.5, 1e9])
def test_clipping(clip):
    ours, kind, options = RULES["momentum"]
    assert_same({"optimizer": ours, "clip_norm": clip}, kind, {"lr": ours["lr"], **options}, clip=clip)


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_label_smoothing(smoothing):
    ours, kind, options = RULES["adam"]
    settings = {"optimizer": ours, "label_smoothing": smoothing}
    assert_same(settings, kind, {"lr": ours["lr"], **options}, smoothing=smoothing)


def test_the_learning_rate_of_each_step_is_that_of_the_schedule():
    """A plain step is the rate times the gradient; with one example per class all gradients are alike enough to see."""
    fit, _, _ = fitted(schedule="cosine")
    expected = [0.1 * fit.recipe.schedule.factor(step, STEPS) for step in range(STEPS)]
    assert fit._rates[0].tolist() == pytest.approx(expected)

"""Small language models: what they are trained on and measured by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fake_trial import FakeTrial, drive
from torch.nn import functional

from trainables.capacity import language
from trainables.capacity.reading import Reading, following, read
from trainables.config import build, check
from trainables.data import markov_copy
from trainables.models import transformer

QUICK = {"data": {"num_examples": 200, "length": 10, "distance": 4}, "model": {"width": 8, "heads": 2}}


def config(**settings):
    return build(language.Config, QUICK | settings)


def test_targets_are_the_tokens_that_follow():
    inputs, labels = torch.tensor([[3.0, 1.0, 2.0], [0.0, 4.0, 4.0]]), torch.tensor([7, 5])
    assert following(inputs, labels).tolist() == [[1, 2, 7], [4, 4, 5]]


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_the_gradient_is_that_of_the_mean_over_positions_with_the_penalty(strength):
    asked = config(batch_size=64, regulariser={"name": "z_loss", "strength": strength})
    fit = Reading([asked], [FakeTrial()]).fit
    inputs, labels = fit.train.chunk(0, 64), fit.train.labels[:, :64]

    def loss(network, inputs, labels):
        logits = network(inputs)
        own = functional.cross_entropy(logits.mT, following(inputs, labels))
        return own + strength * logits.logsumexp(-1).square().mean()

    keys = torch.zeros(1, dtype=torch.int64)
    values = dict(fit.configs.values)
    found = fit.stack.gradient(fit._loss(64, 0), fit.stack.parameters, values, inputs, labels, keys, keys, {})
    torch.testing.assert_close(found, fit.stack.gradient(loss, fit.stack.parameters, inputs, labels))


def test_the_largest_logit_is_that_of_the_sharpest_head():
    network = transformer.Config(vocabulary=6, causal=True, width=8, depth=2).build_each(
        (5,), 6, torch.Generator().manual_seed(0)
    )
    inputs, labels = torch.arange(5.0)[None], torch.tensor([5])
    _, before = read(network, inputs, labels)
    attention = next(layer for layer in network.modules() if hasattr(layer, "project"))
    with torch.no_grad():
        attention.project.weight[:16] *= 100  # queries and keys
    _, after = read(network, inputs, labels)
    assert after > 1e3 * max(before, 0.1)
    assert not any(layer._forward_hooks for layer in network.modules())


def test_learning_lowers_the_loss_and_a_wild_one_counts_as_untrained():
    untrained = Reading([config()], [FakeTrial()])._untrained[0]["test"]
    assert untrained == pytest.approx(math.log(32), rel=0.2)
    good, wild = (drive(language.run, config(optimizer={"lr": lr}), FakeTrial())[-1] for lr in (0.01, 1e30))
    assert good["loss/test"] < untrained - 0.1
    assert wild["loss/test"] == pytest.approx(untrained)
    assert wild["attention_logit"] == 38


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"name": "mlp"}}, "transformer with a vocabulary"),
        ({"model": {"causal": False}}, "causal: true"),
        ({"loss": "elr"}, "remembers no examples"),
        ({"label_smoothing": 0.1}, "without label_smoothing"),
        ({"augmentation": "noise"}, "tokens stay as they are"),
        ({"split": {"standardise": True}}, "tokens stay as they are"),
    ],
)
def test_what_it_cannot_do_is_refused(settings, said):
    (problem,) = check(language.Config, settings)
    assert said in problem.expected


def test_the_chain_copies_as_often_as_it_is_told_and_else_follows_its_last_token():
    made = markov_copy.Config(num_examples=20_000, vocabulary=8, length=6, distance=3, copy=0.4, sharpness=0.0)
    examples = made.load()
    tokens = np.concatenate([examples.inputs, examples.labels[:, None]], axis=1)
    same = (tokens[:, 3:] == tokens[:, :-3]).mean()
    assert same == pytest.approx(0.4 + 0.6 / 8, abs=0.01)
    sharp = markov_copy.Config(num_examples=20_000, vocabulary=8, length=3, distance=3, sharpness=3.0).load()
    pairs = np.zeros((8, 8))
    np.add.at(pairs, (sharp.inputs[:, 0].astype(int), sharp.inputs[:, 1].astype(int)), 1)
    logits = 3.0 * np.random.default_rng(0).standard_normal((8, 8))
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert abs(pairs / pairs.sum(1, keepdims=True) - expected).max() < 0.03

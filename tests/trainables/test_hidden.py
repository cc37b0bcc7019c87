"""The hidden layers of every model, and training that changes them."""

from __future__ import annotations

import pytest
import torch
from fake_trial import FakeTrial
from tiny import config, parameters, train
from torch import nn

from trainables.config import Component
from trainables.models import cnn, linear, mlp, resnet, two_layer, vit
from trainables.training.hidden import num_layers, through

MODELS = Component("trainables.models")
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
STEADY = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": "constant"}


def network(model):
    return model.build((1, 8, 8), 10, torch.Generator().manual_seed(0)).eval()


@pytest.mark.parametrize("name", MODELS.names())
def test_the_layers_of_each_model_are_passed_in_order_and_leave_what_it_says(name):
    model, seen = network(MODELS.config(name)()), []
    logits = through(model, IMAGES, lambda number, values: (seen.append(number), values)[1])
    assert torch.equal(logits, model(IMAGES))
    assert seen == list(range(num_layers(model)))


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (linear.Config(), 1),
        (mlp.Config(depth=3, normalisation="layer"), 4),
        (mlp.Config(depth=3, residual=True), 4),
        (cnn.Config(depth=2), 3),
        (resnet.Config(stages=3, blocks=2), 8),
        (vit.Config(depth=2), 6),
        (two_layer.Config(head="fixed"), 2),
    ],
)
def test_each_part_with_weights_has_a_layer(model, count):
    """The inputs, and what goes into further layers, blocks and the head."""
    assert num_layers(network(model)) == count


def test_what_is_no_sequence_has_none():
    assert num_layers(nn.Linear(2, 2)) == 0


def learnt(seed=0, **settings):
    train([config(**STEADY, **settings)], [trial := FakeTrial(seed=seed)])
    return parameters(trial)


def test_training_with_manifold_mixup_at_the_inputs_is_training_with_mixup():
    inputs = learnt(augmentation={"name": "manifold_mixup", "alpha": 0.7, "last": 0})
    assert torch.equal(inputs, learnt(augmentation={"name": "mixup", "alpha": 0.7}))


def test_without_shares_it_is_training_without_it():
    """Targets are probabilities then, whose cross-entropy is another kernel; no smoothing at all has the same."""
    mixed = learnt(augmentation={"name": "manifold_mixup", "alpha": 0.0})
    assert torch.equal(mixed, learnt(augmentation={"name": "mixup", "alpha": 0.0}))
    torch.testing.assert_close(mixed, learnt())


def test_hidden_layers_are_mixed_where_inputs_are_not():
    hidden = learnt(augmentation={"name": "manifold_mixup", "first": 1, "last": 1})
    assert not torch.allclose(hidden, learnt())


def test_a_layer_that_the_network_does_not_have_is_refused():
    with pytest.raises(ValueError, match="manifold_mixup: got last 2, expected at most 0"):
        learnt(model="linear", augmentation="manifold_mixup")

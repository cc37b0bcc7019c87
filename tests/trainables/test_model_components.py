"""Every model component, and the layers that draw random numbers."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
import torch

from trainables.config import Component
from trainables.models import cnn, linear, mlp
from trainables.training.activations import Activation
from trainables.training.layers import Dropout, StochasticDepth, give_streams, scale_weights

MODELS = Component("trainables.models")
IMAGE = (1, 8, 8)


def build(config, shape=IMAGE, num_classes=10, seed=0):
    return config.build(shape, num_classes, torch.Generator().manual_seed(seed))


def num_parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", MODELS.names())
def test_weights_come_from_the_given_stream_only(name):
    config = MODELS.config(name)()
    before = torch.random.get_rng_state()
    first, other = build(config), build(config, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    second = build(config)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])
        assert value.isfinite().all()
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", MODELS.names())
def test_gives_finite_logits_for_every_class(name):
    logits = build(MODELS.config(name)())(torch.randn(5, *IMAGE))
    assert logits.shape == (5, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS.names())
def test_every_parameter_gets_a_gradient(name):
    model = build(MODELS.config(name)())
    torch.nn.functional.cross_entropy(model(torch.randn(32, *IMAGE)), torch.arange(32) % 10).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_parameter_counts_have_their_closed_form():
    assert num_parameters(build(linear.Config(), (30,), 2)) == 30 * 2 + 2
    w, d = 16, 3
    assert num_parameters(build(mlp.Config(width=w, depth=d), (30,), 2)) == 31 * w + (d - 1) * (w + 1) * w + 2 * (w + 1)
    convolutions = 9 * w + 2 * w + 9 * w * 2 * w + 4 * w  # with scale and shift of the group normalisation
    assert num_parameters(build(cnn.Config(width=w))) == convolutions + 10 * (8 * w + 1)
    deeper = 2 * (9 * 2 * w * 2 * w + 4 * w)
    assert num_parameters(build(cnn.Config(width=w, depth=4))) == convolutions + deeper + 10 * (8 * w + 1)


@pytest.mark.parametrize("size", [8, 9, 16, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_cnn_takes_images_of_many_sizes(size, channels):
    shape = (channels, size, size + 1)
    assert build(cnn.Config(width=4), shape)(torch.randn(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("shape", [(30,), (1, 4, 4), (1, 8, 7)])
def test_cnn_refuses_what_is_no_image(shape):
    with pytest.raises(ValueError, match=r"model cnn: got inputs of shape \(.*\), expected images .*at least 8 x 8"):
        build(cnn.Config(), shape)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_depth_neither_kills_nor_blows_up_the_signal(activation):
    model = build(mlp.Config(width=256, depth=8, activation=activation), (256,))
    logits = model(torch.randn(64, 256, generator=torch.Generator().manual_seed(0)))
    assert 0.1 < logits.std() < 3


def dropout(rate, seed=0):
    layer = Dropout(rate)
    give_streams(layer, seed)
    return layer


def test_dropout_zeroes_its_rate_and_keeps_the_mean():
    values = dropout(0.3)(torch.ones(1000, 100))
    assert (values == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert values.mean().item() == pytest.approx(1, abs=0.01)
    assert values.max().item() == pytest.approx(1 / 0.7)


def test_dropout_draws_anew_in_each_call_in_each_layer_and_for_each_seed():
    model = torch.nn.Sequential(Dropout(0.5), Dropout(0.5))
    give_streams(model, 0)
    first, second = model
    ones = torch.ones(8, 8)
    masks = [first(ones), first(ones), second(ones), dropout(0.5, seed=1)(ones)]
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(masks, 2))
    assert torch.equal(dropout(0.5)(ones), masks[0])


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_dropout_at_rest_draws_nothing(rate, training):
    layer, values = dropout(rate).train(training), torch.ones(4, 4)
    assert torch.equal(layer(values), values)
    assert layer.calls == 0


def test_dropout_of_no_rows():
    """A worker may have no share of a small batch."""
    assert dropout(0.5)(torch.ones(0, 3)).shape == (0, 3)


def passes_by(rate, seed=0):
    layer = StochasticDepth(rate)
    give_streams(layer, seed)
    return layer


def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean():
    values = passes_by(0.3)(torch.ones(20_000, 2, 3, 1))
    assert torch.equal(values, values[:, :1, :1].expand_as(values))
    assert (values == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert values.max().item() == pytest.approx(1 / 0.7)


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_stochastic_depth_at_rest_is_the_identity(rate, training):
    layer, values = passes_by(rate).train(training), torch.randn(4, 3)
    assert torch.equal(layer(values), values)
    assert layer.calls == 0


def test_workers_drop_the_examples_that_one_would_drop():
    whole, ones = passes_by(0.5)(torch.ones(8, 2, 2)), torch.ones(5, 2, 2)
    share = passes_by(0.5)
    share.first_row = 3
    assert torch.equal(share(ones), whole[3:])


def test_kinds_of_layers_that_draw_do_not_shift_the_streams_of_each_other():
    model = torch.nn.Sequential(StochasticDepth(0.5), Dropout(0.5))
    give_streams(model, 0)
    ones = torch.ones(8, 8)
    assert torch.equal(model[1](ones), dropout(0.5)(ones))
    assert not torch.equal(model[0](ones)[:, 0], dropout(0.5)(ones[:, :1])[:, 0])


@pytest.mark.parametrize("name", MODELS.names())
def test_scaling_multiplies_the_weights_and_nothing_else(name):
    model, scaled = build(MODELS.config(name)()), build(MODELS.config(name)())
    scale_weights(scaled, 0.5)
    for key, parameter in model.named_parameters():
        factor = 0.5 if parameter.ndim > 1 else 1
        assert torch.equal(dict(scaled.named_parameters())[key], factor * parameter)

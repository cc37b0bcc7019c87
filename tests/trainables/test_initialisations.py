"""What initialisations do to weights, before training begins."""

from __future__ import annotations

import itertools

import pytest
import torch
from fake_trial import FakeTrial, drive
from torch import nn
from torch.nn import functional

from trainables.config import Component, build
from trainables.models import cnn, mlp, resnet, vit
from trainables.supervised import classify
from trainables.training import beginning
from trainables.training.initialisations import gradinit, lsuv, metainit
from trainables.training.initialisations.metainit import gradient_quotient
from trainables.training.initialising import Scaled, _batches, at_start
from trainables.training.layers import scale_weights

INITIALISATIONS = Component("trainables.training.initialisations")
IMAGE = (1, 8, 8)
EXAMPLES = torch.randn(64, *IMAGE, generator=torch.Generator().manual_seed(9)), torch.arange(64) % 10
BATCH, OTHER = zip(*(part.split(32) for part in EXAMPLES), strict=True)
SHORT = {"metainit": {"steps": 3}, "gradinit": {"steps": 5}}
NETWORKS = {
    "mlp": mlp.Config(width=16, depth=4, dropout=0.3),
    "cnn": cnn.Config(width=4, normalisation="batch"),
    "resnet": resnet.Config(width=4, stages=2, normalisation="group"),
    "vit": vit.Config(width=8, heads=2, depth=1),
}


def network(config=NETWORKS["mlp"], seed=0, scale=1.0):
    made = config.build(IMAGE, 10, torch.Generator().manual_seed(seed))
    scale_weights(made, scale)
    return made


def applied(config, made, seed=0):
    batches, stream = itertools.cycle([BATCH, OTHER]), torch.Generator().manual_seed(seed)
    config.apply(made, batches, functional.cross_entropy, stream)
    return made


def short(name):
    return INITIALISATIONS.config(name)(**SHORT.get(name, {}))


def parameters(made):
    return {key: value.detach() for key, value in made.named_parameters()}


def linear_layers(made):
    return [layer for layer in made.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INITIALISATIONS.names())
@pytest.mark.parametrize("model", NETWORKS)
def test_weights_are_finite_and_the_same_each_time_and_nothing_else_changes(name, model):
    before, state = network(NETWORKS[model]), torch.random.get_rng_state()
    first, second = (applied(short(name), network(NETWORKS[model])) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, value in parameters(first).items():
        assert value.isfinite().all()
        assert torch.equal(value, parameters(second)[key])
        assert value.any() == parameters(before)[key].any(), f"{key} is no longer zero"
    assert all(torch.equal(value, dict(before.named_buffers())[key]) for key, value in first.named_buffers())
    assert all(layer.training for layer in first.modules())
    assert all(parameter.requires_grad for parameter in first.parameters())
    changed = any(not torch.equal(value, parameters(before)[key]) for key, value in parameters(first).items())
    assert changed == (name != "kaiming")


def test_networks_are_tried_without_dropout_and_with_the_statistics_of_the_batch():
    tried, values = nn.Sequential(*network()[:4], nn.BatchNorm1d(16)), 5 + BATCH[0]
    with at_start(tried):
        first, second = tried(values), tried(values)
    assert torch.equal(first, second)
    assert first.mean(0).abs().max() < 1e-5
    assert not torch.equal(tried(values), first)  # dropout is back


def start(seed=0, **settings):
    """The weights with which a trial of the digits begins training."""
    config, trial = build(classify.Config, {"model": {"name": "mlp", "depth": 4}} | settings), FakeTrial(seed=seed)
    fit, _ = classify.begin([config], [trial])
    return fit.stack.layout.split(fit.stack.parameters[0])


@pytest.mark.parametrize("name", sorted({*INITIALISATIONS.names()} - {"kaiming"}))
def test_a_sweep_may_name_any(name):
    values = {"name": name, **SHORT.get(name, {})}
    usual, first, again, other = start(), *(start(seed, initialisation=values) for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    weights = [key for key in first if "weight" in key]
    assert all(not torch.equal(first[key], usual[key]) and not torch.equal(first[key], other[key]) for key in weights)


@pytest.mark.parametrize("loss", ["elr", "squared_error"])
def test_the_loss_is_that_of_the_recipe(loss):
    values = {"name": "gradinit", "steps": 10}
    plain, own = (start(initialisation=values, loss=name) for name in ("cross_entropy", loss))
    assert any(not torch.equal(plain[key], own[key]) for key in plain)
    assert all(value.isfinite().all() for value in own.values())


def test_trials_that_go_on_have_the_weights_that_they_left():
    settings = {"data": "wine", "epochs": 3, "initialisation": "lsuv", "model": {"name": "mlp", "dropout": 0.3}}
    config, whole, begun = build(classify.Config, settings), FakeTrial(), FakeTrial()
    expected = drive(classify.run, config, whole)
    first = drive(classify.run, config, begun, 1)
    both = first + drive(classify.run, config, FakeTrial(restored=begun.saved))
    assert [report["loss/train"] for report in both] == [report["loss/train"] for report in expected]


def test_batches_are_whole_and_of_the_trial_alone_each_epoch_in_another_order():
    config, trials = build(classify.Config, {"data": "wine"}), [FakeTrial(seed=seed) for seed in range(2)]
    train = beginning.parts([config] * 2, trials)["train"]
    own = train.keep(torch.tensor([1]))
    size = own.count // 2 - 1  # so that two or three examples are left over
    first, *rest = itertools.islice(_batches(own, size, seed=1), 4)
    known = {tuple(row.tolist()) for row in own.chunk(0, own.count)[0]}
    assert all(len(inputs) == len(labels) == size for inputs, labels in (first, *rest))
    for one, two in ((first, rest[0]), rest[1:]):
        rows = [tuple(row.tolist()) for row in torch.cat([one[0], two[0]])]
        assert len(set(rows)) == len(rows) == 2 * size
        assert set(rows) <= known
    assert not torch.equal(first[0], rest[1][0])
    inputs, _ = next(_batches(own, 10 * own.count, seed=1))
    assert len(inputs) == own.count


# --- LSUV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_lsuv_gives_every_layer_unit_variance(model, scale):
    made, deviations = applied(lsuv.Config(), network(NETWORKS[model], scale=scale)), []
    for layer in linear_layers(made):
        layer.register_forward_hook(lambda *call: deviations.append(call[-1].std().item()))
    with at_start(made):
        made(BATCH[0])
    assert len(deviations) == len(linear_layers(made))
    assert deviations == pytest.approx([1] * len(deviations), rel=1e-4)


def test_lsuv_draws_orthonormal_weights_or_keeps_the_directions():
    before = network()
    for layer in linear_layers(applied(lsuv.Config(), network())):
        rows = functional.normalize(layer.weight if layer.weight.shape[0] <= layer.weight.shape[1] else layer.weight.mT)
        torch.testing.assert_close(rows @ rows.mT, torch.eye(len(rows)), rtol=0, atol=1e-5)
    for layer, own in zip(
        linear_layers(applied(lsuv.Config(orthonormal=False), network())), linear_layers(before), strict=True
    ):
        ratio = layer.weight / own.weight
        torch.testing.assert_close(ratio, torch.full_like(ratio, ratio[0, 0].item()))


# --- MetaInit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [0.1, 1.0, 3.0])
def test_the_gradient_quotient_of_a_parabola_is_its_curvature(curvature):
    weights = [torch.tensor([2.0, -3.0], requires_grad=True), torch.tensor([[0.5]], requires_grad=True)]
    loss = sum(curvature * weight.square().sum() / 2 for weight in weights)
    assert gradient_quotient(loss, weights, 1e-9).item() == pytest.approx(curvature, rel=1e-5)


def quotient(made):
    weights = [parameter for parameter in made.parameters() if parameter.ndim > 1]
    return gradient_quotient(functional.cross_entropy(made(BATCH[0]), BATCH[1]), weights, 1e-5).item()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_metainit_lowers_the_gradient_quotient_by_norms_alone(scale):
    model = mlp.Config(width=32, depth=4)
    before, made = network(model, scale=scale), network(model, scale=scale)
    applied(metainit.Config(), made)
    assert quotient(made) < 0.1 * quotient(before)
    for layer, own in zip(linear_layers(made), linear_layers(before), strict=True):
        ratio = layer.weight / own.weight
        torch.testing.assert_close(ratio, torch.full_like(ratio, ratio[0, 0].item()))
        assert ratio[0, 0] > 0


# --- GradInit ---------------------------------------------------------------------------------------------------------


def factors(made, before):
    pairs = zip(parameters(made).values(), parameters(before).values(), strict=True)
    return [(one.norm() / other.norm()).item() for one, other in pairs if other.any()]


def by_hand(rule, eta, gamma):
    """The derivatives with respect to the factors at 1, of what the first step descends on, by finite differences."""
    made = network().double().eval()
    inputs, labels = EXAMPLES[0].double(), EXAMPLES[1]
    first, second = slice(0, 32), slice(16, 48)  # the loss after the step is on half of what the step was made of
    begun = {key: value.clone() for key, value in parameters(made).items()}
    scaled = [key for key, value in begun.items() if value.any()]

    def loss(weights, rows):
        return functional.cross_entropy(torch.func.functional_call(made, weights, (inputs[rows],)), labels[rows])

    def gradient(weights):
        weights = {key: value.clone().requires_grad_() for key, value in weights.items()}
        return dict(zip(weights, torch.autograd.grad(loss(weights, first), [*weights.values()]), strict=True))

    def size(gradients):
        return torch.cat([g.flatten() for g in gradients.values()]).norm(2 if rule == "sgd" else 1)

    step = {k: g / size(gradient(begun)) if rule == "sgd" else g.sign() for k, g in gradient(begun).items()}

    def value(key, factor):
        weights = {k: v * (factor if k == key else 1) for k, v in begun.items()}
        if size(gradient(begun)) > gamma:
            return size(gradient(weights))
        return loss({k: v - eta * step[k] for k, v in weights.items()}, second) / eta

    return [((value(key, 1 + 1e-5) - value(key, 1 - 1e-5)) / 2e-5).item() for key in scaled]


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("gamma", [1e-6, 1e6])
def test_gradinit_goes_down_the_norm_or_the_loss_after_a_step(rule, gamma):
    made, halves = network().double().eval(), gradinit._halves((x.double(), y) for x, y in (BATCH, OTHER))
    scaled = Scaled(made, lambda weight: bool(weight.any()))
    config, factors = gradinit.Config(rule=rule, eta=0.05, gamma=gamma), torch.ones(len(scaled.names)).double()
    slope, kind = config._slope(scaled, factors, halves, functional.cross_entropy)
    assert slope.tolist() == pytest.approx(by_hand(rule, eta=0.05, gamma=gamma), rel=1e-3)
    assert kind == (gamma < 1)


def test_the_first_step_of_gradinit_is_one_learning_rate():
    made = applied(gradinit.Config(steps=1, lr=0.01), network())
    assert [abs(factor - 1) for factor in factors(made, network())] == pytest.approx([0.01] * 5, rel=1e-3)


def test_gradinit_undoes_a_wrong_scale():
    """What weights are multiplied by in the end is about the same, whatever they were multiplied by before."""
    usual, found = start(), []
    for scale in (0.5, 1.0, 2.0):
        weights = start(init_scale=scale, initialisation={"name": "gradinit"})
        found.append(torch.stack([weights[key].norm() / usual[key].norm() for key in usual if "weight" in key]))
    assert (found[0] / found[1] - 1).abs().mean() < 0.15
    assert (found[2] / found[1] - 1).abs().mean() < 0.15
    assert all(0.4 < factor.mean() < 1.1 for factor in found)


def test_gradinit_keeps_factors_above_a_hundredth():
    before = network(scale=3.0)
    made = applied(gradinit.Config(steps=1, lr=2.0), network(scale=3.0))
    assert min(factors(made, before)) == pytest.approx(0.01)


@pytest.mark.parametrize("kind", [True, False])
def test_gradinit_keeps_a_first_moment_for_each_kind_of_step(kind):
    """A step of the other kind does not carry on where this one was going."""
    scaled = Scaled(network(), lambda weight: bool(weight.any()))
    descent = gradinit._Descent(scaled, lr=0.1)
    slope = torch.ones(len(scaled.names))
    for _ in range(3):
        descent.step(slope, kind)
    low = descent.factors.clone()
    descent.step(-slope, not kind)
    assert (low < 1 - 0.29).all()
    torch.testing.assert_close(descent.factors - low, torch.full_like(low, 0.1))

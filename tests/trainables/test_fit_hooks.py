"""What hooks into a training step: perturbations, averages, noise on the gradient, memories, penalties."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from fake_trial import FakeTrial, drive
from tiny import CLASSES, IMAGE, config, train
from torch import nn

from trainables.api import PerMember
from trainables.config import Component
from trainables.seeding import Streams
from trainables.supervised import classify
from trainables.training.averages import ema, swa
from trainables.training.layers import Dropout, initialised
from trainables.training.perturbations import amp, asam, sam
from trainables.training.regularisers import r_drop
from trainables.training.stacking import Layout

ROW = torch.tensor([3.0, -4.0, 0.5, 2.0, 1.0, -1.0], dtype=torch.float64)
GRADIENT = torch.tensor([1.0, 2.0, -2.0, 0.0, 4.0, 0.1], dtype=torch.float64)
LAYOUT = Layout(nn.Linear(2, 2))  # four weights and two biases
PERTURBATIONS = Component("trainables.training.perturbations")


def fitted(seeds=(5,), **settings):
    """A fit of members that differ in their seeds alone, and its training examples."""
    trials = [FakeTrial(seed=seed) for seed in seeds]
    fit, parts = classify.begin([config(epochs=3, **settings)] * len(trials), trials)
    return fit, parts["train"]


# --- perturbations ----------------------------------------------------------------------------------------------------


def moved(config, gradient=GRADIENT, at=ROW):
    return config.move(gradient, at, ROW, LAYOUT) - ROW


@pytest.mark.parametrize("name", [name for name in PERTURBATIONS.names() if name != "none"])
def test_a_move_climbs_and_none_at_radius_0_or_without_a_gradient(name):
    kind = PERTURBATIONS.config(name)
    assert moved(kind()) @ GRADIENT > 0
    assert moved(kind(radius=0.0)).abs().max() == 0
    assert moved(kind(), gradient=torch.zeros_like(ROW)).abs().max() == 0


def test_sam_moves_its_radius_along_the_gradient():
    torch.testing.assert_close(moved(sam.Config(radius=0.3)), 0.3 * GRADIENT / GRADIENT.norm())


def test_asam_does_not_depend_on_how_weights_are_scaled():
    """A function of ``row / scale`` has the gradient divided by the scale; the same function has to be moved alike."""
    scale = torch.tensor([1.0, 10.0, 0.1, 3.0, 5.0, 0.01], dtype=torch.float64)
    step = asam.Config(radius=0.3).move(GRADIENT / scale, ROW * scale, ROW * scale, LAYOUT) - ROW * scale
    torch.testing.assert_close(step / scale, moved(asam.Config(radius=0.3)))
    assert (moved(asam.Config(radius=0.3)) / ROW).norm().item() == pytest.approx(0.3)


def test_amp_climbs_within_a_ball_for_each_tensor():
    config = amp.Config(radius=0.5, rate=0.1, moves=3)
    first = moved(config)
    weights, biases = first[:4], first[4:]
    torch.testing.assert_close(weights, 0.1 * GRADIENT[:4])  # 0.3 long, within the ball
    torch.testing.assert_close(biases, 0.1 * GRADIENT[4:])
    second = config.move(GRADIENT, ROW + 3 * first, ROW, LAYOUT) - ROW
    for part, gradient in ((second[:4], GRADIENT[:4]), (second[4:], GRADIENT[4:])):
        torch.testing.assert_close(part, 0.5 * gradient / gradient.norm())


def test_the_step_of_sam_is_that_of_the_authors_recipe():
    """By hand: the gradient, the ascent, the gradient there, and the step from where it began."""
    settings = {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0}, "schedule": "constant"}
    fit, part = fitted(perturbation={"name": "sam", "radius": 0.2}, **settings)
    network = fit.recipe.model.build(IMAGE, CLASSES, Streams(5).torch("init"))
    order = fit._order(fit._keys["order"][0], torch.tensor(0))
    for rows in order.split(16):
        inputs, labels = part.inputs[part.rows[0, rows]], part.labels[0, rows]

        def gradients(inputs=inputs, labels=labels):
            loss = nn.functional.cross_entropy(network(inputs), labels)
            return torch.autograd.grad(loss, list(network.parameters()))

        with torch.no_grad():
            with torch.enable_grad():
                first = gradients()
            norm = torch.cat([g.flatten() for g in first]).norm()
            for parameter, g in zip(network.parameters(), first, strict=True):
                parameter.add_(0.2 * g / norm)
            with torch.enable_grad():
                second = gradients()
            for parameter, g, ahead in zip(network.parameters(), first, second, strict=True):
                parameter.sub_(0.2 * g / norm + 0.1 * ahead)
    fit.run_epoch()
    expected = torch.cat([p.detach().flatten() for p in network.parameters()])
    torch.testing.assert_close(fit.stack.parameters[0], expected, rtol=1e-4, atol=1e-6)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), device="cpu"))

    def forward(self, values):
        if self.training:
            self.calls.add_(1)
        return values


@dataclass(frozen=True, kw_only=True)
class Noticing:
    """A model that counts its calls and drops much."""

    dropout: PerMember[float] = 0.5

    def build(self, shape, num_classes, init):
        def layers():
            body = [nn.Flatten(), Counter(), nn.Linear(math.prod(shape), 8), Dropout(self.dropout), nn.BatchNorm1d(8)]
            return nn.Sequential(*body, nn.Linear(8, num_classes))

        return initialised(layers, init)


@pytest.mark.parametrize("seeds", [(5,), (5, 6)])
def test_all_gradients_of_a_step_are_of_one_function(seeds):
    """A ball of no size leaves no trace: the same masks of dropout, statistics and memories count once."""
    settings = {"model": Noticing(), "loss": {"name": "elr"}, "augmentation": {"name": "noise"}}
    plain, _ = fitted(seeds, **settings)
    tiny, _ = fitted(seeds, perturbation={"name": "amp", "radius": 0.0, "moves": 2}, **settings)
    for fit in (plain, tiny):
        fit.run_epoch()
    for number in range(len(seeds)):
        for one, other in zip(flat(plain.state(number)), flat(tiny.state(number)), strict=True):
            assert torch.equal(one, other)
    assert tiny.state(0)["network"]["buffers"]["1.calls"] == tiny.steps_per_epoch


def flat(tree):
    return [
        leaf for item in tree.values() for leaf in (flat(item) if isinstance(item, dict) else [torch.as_tensor(item)])
    ]


# --- averages ---------------------------------------------------------------------------------------------------------


def averages_of(config, path):
    """Of parameters that go along ``path``, after each step."""
    average, seen = torch.tensor([float(path[0])]), []
    for step, value in enumerate(path):
        average = config.update(average, torch.tensor([float(value)]), torch.tensor(step), len(path))
        seen.append(average.item())
    return seen


def test_ema_forgets_at_its_decay_and_is_young_at_first():
    assert averages_of(ema.Config(decay=0.0), [1, 2, 5]) == pytest.approx([1, 2, 5])
    assert averages_of(ema.Config(decay=0.99), [0, 1, 1])[1:] == pytest.approx([9 / 11, 1 - 2 / 11 * 3 / 12])
    late = averages_of(ema.Config(decay=0.5), [0] * 50 + [1, 1])
    assert late[-2:] == pytest.approx([0.5, 0.75])


def test_swa_is_the_mean_from_its_start_on():
    path = [9, 8, 7, 3, 4, 8, 1, 0]
    assert averages_of(swa.Config(start=0.5), path) == pytest.approx([9, 8, 7, 3, 4, 6, 13 / 3, 13 / 4])
    assert averages_of(swa.Config(start=0.0), path)[-1] == pytest.approx(5)
    assert averages_of(swa.Config(start=1.0), path) == path
    assert averages_of(swa.Config(start=0.55), path)[-1] == pytest.approx(3)


@pytest.mark.parametrize("average", [{"name": "ema", "decay": 0.9}, {"name": "swa", "start": 0.3}])
def test_the_average_is_evaluated_and_training_does_not_notice(average):
    plain, _ = fitted()
    fit, part = fitted(average=average)
    for _ in range(2):
        plain.run_epoch()
        fit.run_epoch()
    assert torch.equal(plain.stack.parameters, fit.stack.parameters)
    weights = fit.state(0)["average"]
    assert not torch.equal(weights, fit.stack.parameters[0])
    plain.stack.parameters = weights[None]
    torch.testing.assert_close(fit.predict(part), plain.predict(part))


EVERYTHING = {
    "average": {"name": "ema"},
    "loss": {"name": "elr"},
    "perturbation": {"name": "sam"},
    "regulariser": {"name": "spectral"},
    "augmentation": {"name": "shift_and_flip"},
    "optimizer": {"name": "muon"},
    "gradient_noise": 1e-4,
}


HISTORY = {"optimizer": {"name": "lbfgs", "history": 3}, "batch_size": 64}


def test_lbfgs_gets_lower_than_gradient_descent_at_any_rate():
    """In as many steps, on the training examples of a network."""
    losses = {}
    rules = [{"name": "lbfgs"}, *({"name": "sgd", "momentum": 0.0, "lr": 2.0**-n} for n in range(-3, 8))]
    for rule in rules:
        made = config(epochs=30, report_every=30, batch_size=64, schedule="constant", optimizer=rule)
        (reports,) = train([made, made], [FakeTrial(seed=5), FakeTrial(seed=6)])[:1]
        losses[str(rule)] = reports[-1]["loss/train"] if reports else math.inf
    quick, *slow = losses.values()
    assert quick < 0.1 * min(slow)


@pytest.mark.parametrize("settings", [EVERYTHING, HISTORY])
def test_an_interrupted_trial_goes_on_with_its_average_and_its_memory(settings):
    made, whole, begun = config(epochs=3, **settings), FakeTrial(), FakeTrial()
    expected = drive(classify.run, made, whole)
    first = drive(classify.run, made, begun, 1)
    rest = drive(classify.run, made, FakeTrial(restored=begun.saved))
    for one, other in zip([*first, *rest], expected, strict=True):
        assert {k: v for k, v in one.items() if k not in classify.NOT_REPRODUCIBLE} == {
            k: v for k, v in other.items() if k not in classify.NOT_REPRODUCIBLE
        }
    if settings is EVERYTHING:
        assert begun.saved["fit"]["memory"].shape == (64, CLASSES)


def test_members_take_their_average_and_memory_along_when_others_leave():
    made, trials = config(epochs=3, **EVERYTHING), [FakeTrial(seed=seed) for seed in range(3)]
    for _ in classify.run([made] * 3, trials):
        trials[1].wanted = False
    (alone,) = train([made], [single := FakeTrial(seed=2)])
    together = trials[2].offered()["fit"]
    for name in ("average", "memory"):
        torch.testing.assert_close(together[name], single.saved["fit"][name], rtol=1e-4, atol=1e-5)
    assert alone[-1]["step"] == 12


def test_the_memory_holds_every_example_after_an_epoch():
    fit, part = fitted(loss={"name": "elr", "decay": 0.0}, optimizer={"name": "sgd", "lr": 1e-30})
    fit.run_epoch()
    said = fit.predict(part).softmax(-1).clamp(1e-4, 1 - 1e-4)
    torch.testing.assert_close(fit.state(0)["memory"], (said / said.sum(-1, keepdim=True))[0], rtol=1e-4, atol=1e-5)


# --- noise, penalties, batches ----------------------------------------------------------------------------------------


def test_gradient_noise_has_its_variance_and_dies_down():
    still = {"optimizer": {"name": "sgd", "lr": 1.0, "momentum": 0.0}, "schedule": "constant", "model": "linear"}
    plain, _ = fitted(range(8), **still)
    fit, _ = fitted(range(8), gradient_noise=0.04, gradient_noise_decay=2.0, **still)
    for step, deviation in enumerate([0.2, 0.1, 0.2 / 3, 0.05]):
        gradient = torch.zeros_like(fit.stack.parameters)
        before = fit.stack.parameters
        fit._take_step(gradient, {("optimizer", "lr"): torch.ones(8, dtype=torch.float64)})
        noise = fit.stack.parameters - before
        assert noise.std().item() == pytest.approx(deviation, rel=0.05), step
        assert noise.mean().item() == pytest.approx(0, abs=0.1 * deviation)
        assert torch.corrcoef(noise).fill_diagonal_(0).abs().max() < 0.3  # every member has its own
    plain._take_step(gradient, {("optimizer", "lr"): torch.ones(8, dtype=torch.float64)})
    assert torch.equal(fit.gradient_norm, torch.zeros(8))


def test_a_penalty_adds_its_gradient_to_that_of_the_loss():
    rule = {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0}, "schedule": "constant", "batch_size": 64}
    decayed, _ = fitted(**(rule | {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0}}))
    fit, _ = fitted(regulariser={"name": "l1", "strength": 0.05}, **rule)
    begun = fit.stack.parameters.clone()
    for one in (decayed, fit):
        one.run_epoch()
    signs = {name: part.sign() * (part.ndim > 2) for name, part in fit.stack.layout.split(begun).items()}
    expected = decayed.stack.parameters - 0.1 * 0.05 * fit.stack.layout.join(list(signs.values()))
    torch.testing.assert_close(fit.stack.parameters, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"loss": "elr", "augmentation": "mixup", "label_smoothing": 0.1}])
def test_two_passes_without_dropout_are_one_to_the_bit(settings):
    plain, _ = fitted(range(2), **settings)
    twice, _ = fitted(range(2), regulariser={"name": "r_drop", "strength": 3.0}, **settings)
    for fit in (plain, twice):
        fit.run_epoch()
    for number in range(2):
        for one, other in zip(flat(plain.state(number)), flat(twice.state(number)), strict=True):
            assert torch.equal(one, other)


def test_two_passes_drop_other_units_and_are_pulled_together():
    """The penalty on the training examples, after training with and without it."""
    distances = []
    for strength in (0.0, 1.0):
        model, penalty = {"name": "mlp", "dropout": 0.5}, {"name": "r_drop", "strength": strength}
        fit, part = fitted(model=model, regulariser=penalty, optimizer={"name": "adam", "lr": 0.01})
        for _ in range(3):
            fit.run_epoch()
        assert fit.state(0)["network"]["buffers"]["3.calls"] == 2 * 3 * fit.steps_per_epoch
        network = fit.recipe.model.build(IMAGE, CLASSES, torch.Generator())
        network.load_state_dict(fit.state(0)["network"]["parameters"], strict=False)
        passes = torch.cat([network(part.chunk(0, 64)[0]) for _ in range(2)])
        distances.append(r_drop.Config().penalty({}, passes, part.labels[0]).item())
    assert distances[1] < 0.8 * distances[0]


@pytest.mark.parametrize("batch_size", [64, 1000])
def test_a_batch_of_all_examples_is_gradient_descent(batch_size):
    """One step per epoch, along the gradient of the mean loss over all training examples."""
    fit, part = fitted(
        batch_size=batch_size, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.0}, schedule="constant"
    )
    network = fit.recipe.model.build(IMAGE, CLASSES, Streams(5).torch("init"))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    assert fit.steps_per_epoch == 1
    for _ in range(3):
        fit.run_epoch()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(part.inputs[part.rows[0]]), part.labels[0]).backward()
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in network.parameters()])
    torch.testing.assert_close(fit.stack.parameters[0], expected, rtol=1e-4, atol=1e-6)

"""Layers and settings that keep something per member, against separate networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from fake_trial import FakeTrial
from tiny import TOLERANCE, Images, Recording, config, gap, recorded, train
from torch import nn
from torch.nn import functional

from trainables.data import load
from trainables.training import beginning, draws
from trainables.training.augmentations import noise
from trainables.training.layers import initialised
from trainables.training.stacking import Layout, Stack, each


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """A model with batch normalisation over images and over features."""

    momentum: float | None = 0.1

    def build(self, shape, num_classes, init):
        def layers():
            images = [nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4, momentum=self.momentum), nn.ReLU(), nn.Flatten()]
            return nn.Sequential(*images, nn.Linear(144, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, num_classes))

        return initialised(layers, init)


def networks(count=3, **settings):
    return [Normalised(**settings).build((1, 8, 8), 4, torch.Generator().manual_seed(seed)) for seed in range(count)]


def loss_of(network, inputs, labels):
    return functional.cross_entropy(network(inputs), labels)


def test_batch_normalisation_is_that_of_separate_networks():
    """Statistics of the batch in training, running ones at rest; both of each member alone."""
    stack, apart = Stack(networks()), networks()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        inputs = torch.randn(3, 16, 1, 8, 8, generator=generator) * torch.tensor([1, 5, 0.1]).view(3, 1, 1, 1, 1) + 2
        labels = torch.arange(48).view(3, 16) % 4
        gradient = stack.gradient(loss_of, stack.parameters, inputs, labels)
        stack.parameters = stack.parameters - 0.1 * gradient
        for network, own, own_labels in zip(apart, inputs, labels, strict=True):
            network.zero_grad()
            loss_of(network, own, own_labels).backward()
            torch.optim.SGD(network.parameters(), lr=0.1).step()
    for member, network in enumerate(apart):
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(stack.buffers[name][member], buffer, rtol=1e-4, atol=1e-6)
        logits = network.eval()(inputs[member])
        torch.testing.assert_close(stack.evaluate(lambda n, x: n(x), inputs)[member], logits, rtol=1e-3, atol=1e-4)
    running = stack.buffers["1.running_var"]
    assert running[1].mean() > 3 * running[0].mean() > 3 * running[2].mean()


def test_evaluating_changes_no_statistics():
    stack = Stack(networks())
    before = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    stack.evaluate(lambda n, x: n(x), torch.randn(3, 16, 1, 8, 8))
    assert all(torch.equal(stack.buffers[name], buffer) for name, buffer in before.items())


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_batch_normalisation_alone_and_in_a_cohort(momentum):
    """With its running statistics in the checkpoint."""
    made = config(model=Normalised(momentum=momentum))
    together = [FakeTrial(seed=seed) for seed in range(3)]
    reports = train([made] * 3, together)
    for seed, trial in enumerate(together):
        single = FakeTrial(seed=seed)
        (expected,) = train([made], [single])
        assert gap(trial, single) < 10 * TOLERANCE  # it divides by deviations, some of which are small
        assert reports[seed][-1]["loss/test"] == pytest.approx(expected[-1]["loss/test"], rel=1e-4)
        for name, buffer in trial.saved["fit"]["network"]["buffers"].items():
            torch.testing.assert_close(buffer, single.saved["fit"]["network"]["buffers"][name], rtol=1e-4, atol=1e-5)


def test_dropout_rates_are_those_of_each_member():
    """0 among them. Each mask is recorded, see ``Recorder``."""
    rates = [0.0, 0.25, 0.75]
    together = [FakeTrial(seed=seed) for seed in range(3)]
    made = [config(model=Recording(rate=rate), epochs=6) for rate in rates]
    train(made, together)
    kept = [recorded(trial)["4.seen"] / (2**24 - 1) for trial in together]
    assert (kept[0] == 1).all()
    for rate, share in zip(rates, kept, strict=True):
        assert share.mean().item() == pytest.approx(1 - rate, abs=0.04)


def test_a_member_that_drops_nothing_counts_nothing_in_any_cohort():
    """So a state that it leaves does not tell what it was trained beside."""
    alone, together = FakeTrial(), [FakeTrial(), FakeTrial(seed=1)]
    train([config(model={"name": "mlp", "dropout": 0.0})], [alone])
    train([config(model={"name": "mlp", "dropout": rate}) for rate in (0.0, 0.5)], together)
    states = [trial.saved["fit"]["network"]["buffers"] for trial in (alone, *together)]
    assert [state["3.calls"].item() for state in states] == [0, 0, 8]


def test_noise_has_the_strength_of_each_member():
    strengths = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    keys = torch.stack([draws.key_of(seed, "augmentation") for seed in range(3)])
    inputs, labels = torch.zeros(3, 64, 100), torch.zeros(3, 64, dtype=torch.int64)

    def augment(key, strength, inputs, labels):
        made = noise.Config()
        object.__setattr__(made, "deviation", strength)
        return made.apply(inputs, labels, draws.Draw(key, torch.tensor(0)))[0]

    noisy = each(augment, keys, strengths, inputs, labels)
    assert noisy.std((1, 2)).tolist() == pytest.approx(strengths.tolist(), abs=0.05)


def test_initial_weights_have_the_scale_of_each_member():
    """Seen before any step has changed them: the learning rate is next to nothing."""
    scales = [1.0, 0.5, 2.0]
    together = [FakeTrial() for _ in scales]
    still = {"optimizer": {"name": "sgd", "lr": 1e-30}, "model": "cnn"}
    train([config(init_scale=scale, **still) for scale in scales], together)
    first, *others = (trial.saved["fit"]["network"]["parameters"] for trial in together)
    for scale, other in zip(scales[1:], others, strict=True):
        for name, value in first.items():
            factor = scale if value.ndim > 1 else 1
            torch.testing.assert_close(other[name], factor * value, rtol=0, atol=1e-25)


def test_label_noise_has_the_rate_of_each_member():
    rates = [0.0, 0.25, 1.0]
    made = [replace(c := config(), split=replace(c.split, label_noise=rate)) for rate in rates]
    part = beginning.parts(made, [FakeTrial() for _ in rates])["train"]
    clean = torch.tensor(load(Images()).labels)[part.rows]
    assert (part.labels != clean).float().mean(1).tolist() == rates


def test_members_have_examples_of_their_own():
    """Each seed draws its own training part, scales it by its own statistics, and keeps the test part of all."""
    made = config()
    parts = beginning.parts([made] * 3, [FakeTrial(seed=seed) for seed in range(3)])
    assert torch.equal(parts["test"].labels[0], parts["test"].labels[1])
    assert not torch.equal(parts["train"].labels[0], parts["train"].labels[1])
    for part in parts["train"].inputs[parts["train"].rows]:
        assert part.mean().item() == pytest.approx(0, abs=1e-5)
        assert part.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_large_data_are_scaled_batch_by_batch_to_the_same_numbers(monkeypatch):
    made, pair = config(), [FakeTrial(seed=0), FakeTrial(seed=1)]
    at_once = beginning.parts([made] * 2, pair)
    monkeypatch.setattr("trainables.training.examples._MOST_SCALED_BYTES", 1)
    later = beginning.parts([made] * 2, [FakeTrial(seed=0), FakeTrial(seed=1)])
    assert len(at_once["train"].inputs) == 200
    assert len(later["train"].inputs) == 100
    for name, part in at_once.items():
        assert torch.equal(part.chunk(0, 7), later[name].chunk(0, 7))
        assert torch.equal(part.keep(torch.tensor([1])).chunk(2, 5), later[name].keep(torch.tensor([1])).chunk(2, 5))


def test_a_layout_splits_and_joins():
    network = networks(1)[0]
    layout = Layout(network)
    row = torch.arange(float(sum(p.numel() for p in network.parameters())))
    assert torch.equal(layout.join([*layout.split(row).values()]), row)
    rows = torch.stack([row, -row])
    assert torch.equal(layout.join([*layout.split(rows).values()]), rows)
    assert {name: part.shape for name, part in layout.split(row).items()} == dict(layout.shapes)


def test_the_shared_layers_are_left_as_they_were():
    """Between two calls nothing of a member stays in the template that all of them use."""
    stack = Stack(networks())
    before = {id(p) for m in stack.modules() for p in (*m._parameters.values(), *m._buffers.values())}
    with pytest.raises(ValueError, match="batch_size"):
        stack.gradient(loss_of, stack.parameters, torch.randn(3, 16, 1, 8, 8), torch.zeros(3, 7, dtype=torch.int64))
    stack.evaluate(lambda n, x: n(x), torch.randn(3, 4, 1, 8, 8))
    assert {id(p) for m in stack.modules() for p in (*m._parameters.values(), *m._buffers.values())} == before

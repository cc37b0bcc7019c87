"""Learning task after task: what is measured of the units, what remedies do, and that capacity to learn is lost."""

from __future__ import annotations

import math

import pytest
import torch
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import plasticity, units
from trainables.capacity.tasks import Tasks
from trainables.config import build, check
from trainables.models import mlp

QUICK = {"data": "wine", "epochs": 4, "batch_size": 16, "model": {"width": 8}}


def tasks(**settings):
    return Tasks([build(plasticity.Config, QUICK | settings)], [FakeTrial()])


def test_each_task_has_the_same_examples_with_their_features_in_another_order():
    stream = tasks()
    stream.learn()
    first = stream.fit.train.inputs.clone()
    stream.learn()
    second = stream.fit.train.inputs
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(1).values, second.sort(1).values)


def test_online_accuracy_is_that_before_each_example_is_trained_on():
    """With a learning rate of nearly nothing, it is the accuracy of the untrained network."""
    stream = tasks(optimizer={"lr": 1e-12})
    stream.learn()
    right = stream.fit.predict(stream.fit.train).argmax(2) == stream.fit.train.labels
    assert stream._past[0] == [pytest.approx(right.float().mean().item())]


def test_large_steps_cost_plasticity():
    settings = {"data": "digits", "epochs": 12, "report_every": 3, "batch_size": 8, "optimizer": {"lr": 0.3}}
    reports = drive(plasticity.run, build(plasticity.Config, settings), FakeTrial())
    assert reports[-1]["drop"] > 0.1
    assert reports[-1]["lost"] > 0.1
    assert reports[-1]["dead_units"] > reports[0]["dead_units"]


# --- remedies ---------------------------------------------------------------------------------------------------------


def mended(**remedy):
    """Weights before and after, and those of the fresh network."""
    stream = tasks(remedy=remedy)
    stream.learn()
    before = stream.fit.stack.parameters.clone()
    stream._mend()
    return before[0], stream.fit.stack.parameters[0], stream._fresh("remedy").stack.parameters[0], stream


def test_shrink_and_perturb_is_a_sum_of_old_and_fresh_weights():
    before, after, fresh, _ = mended(shrink=0.4, perturb=0.2)
    torch.testing.assert_close(after, 0.6 * before + 0.2 * fresh)


def test_no_remedy_changes_nothing():
    before, after, _, _ = mended()
    assert torch.equal(before, after)


def test_recycled_units_change_nothing_until_they_learn():
    """They were dead, so the network says the same as before; their weights from below are fresh."""
    network = mlp.Config(width=6, depth=2).build((5,), 3, torch.Generator().manual_seed(0))
    fresh = mlp.Config(width=6, depth=2).build((5,), 3, torch.Generator().manual_seed(1))
    with torch.no_grad():
        network[1].bias[2] = -1e3
    inputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(2))
    idle = units.idle_units(units.activities(network, inputs), 1e-6)
    assert idle[0].tolist() == [False, False, True, False, False, False]
    weights = {name: p.detach() for name, p in network.named_parameters()}
    made = units.recycled(weights, {n: p.detach() for n, p in fresh.named_parameters()}, idle, ["1", "4", "7"])
    torch.testing.assert_close(torch.func.functional_call(network, made, (inputs,)), network(inputs))
    assert torch.equal(made["1.weight"][2], fresh[1].weight[2])
    assert made["1.bias"][2] == 0
    assert not made["4.weight"][~idle[1], 2].any()
    assert torch.equal(made["1.weight"][:2], network[1].weight[:2])


def test_only_members_that_ask_for_it_are_mended():
    configs = [build(plasticity.Config, QUICK | {"remedy": {"shrink": s}}) for s in (0.0, 0.5)]
    stream = Tasks(configs, [FakeTrial(seed=n) for n in range(2)])
    stream.learn()
    before = stream.fit.stack.parameters.clone()
    stream._mend()
    torch.testing.assert_close(stream.fit.stack.parameters, before * torch.tensor([[1.0], [0.5]]))


def test_members_with_different_remedies_learn_as_they_would_alone():
    remedies = [{}, {"shrink": 0.3, "perturb": 0.3}, {"recycle_below": 0.2}]
    configs = [build(plasticity.Config, QUICK | {"remedy": remedy}) for remedy in remedies]
    together = drive_all(plasticity.run, configs, [FakeTrial(seed=n) for n in range(3)])
    for seed, config in enumerate(configs):
        alone = drive(plasticity.run, config, FakeTrial(seed=seed))
        assert together[seed][-1] == pytest.approx(alone[-1], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"name": "linear"}}, "mlp without residuals"),
        ({"model": {"residual": True}}, "mlp without residuals"),
        ({"loss": "elr"}, "remembers no examples"),
        ({"model": {"activation": "crelu"}, "remedy": {"recycle_below": 0.1}}, "cannot start afresh"),
        ({"epochs": 5, "report_every": 2}, "multiple of report_every"),
    ],
)
def test_what_it_cannot_do_is_refused(settings, said):
    (problem,) = check(plasticity.Config, settings)
    assert said in problem.expected


# --- measures ---------------------------------------------------------------------------------------------------------


def test_dead_units_are_those_that_never_answer():
    layers = (torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, -2.0]]))
    assert units.dead_share(layers).item() == 0.5


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_the_effective_rank_of_equal_directions_is_their_number(rank):
    matrix = torch.linalg.qr(torch.randn(9, rank, generator=torch.Generator().manual_seed(0)))[0]
    assert units.effective_rank(matrix @ torch.eye(rank, 7)).item() == pytest.approx(rank, rel=1e-3)
    assert units.effective_rank(torch.zeros(9, 4)) == 0


def test_the_effective_rank_counts_weak_directions_less():
    values = torch.tensor([1.0, 0.1])
    shares = values / values.sum()
    expected = math.exp(-(shares * shares.log()).sum())
    assert units.effective_rank(torch.diag(values)).item() == pytest.approx(expected, rel=1e-3)


def test_idle_units_are_judged_by_the_mean_of_their_layer_and_nobody_is_at_0():
    layer = torch.tensor([[4.0, 0.1, 0.0], [4.0, -0.1, 0.0]])
    assert [units.idle_units((layer,), share)[0].tolist() for share in (0.0, 0.01, 0.1)] == [
        [False, False, False],
        [False, False, True],
        [False, True, True],
    ]

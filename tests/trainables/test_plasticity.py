"""Learning task after task: what is measured of the units, what remedies do, and that capacity to learn is lost."""

from __future__ import annotations

import math

import pytest
import torch
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import plasticity, renewal, units
from trainables.capacity.tasks import Tasks
from trainables.config import build, check
from trainables.models import mlp
from trainables.training import draws

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
    remedies = [{}, {"shrink": 0.3, "perturb": 0.3}, {"recycle_below": 0.2}, {"replace": 0.05, "maturity": 3}]
    configs = [build(plasticity.Config, QUICK | {"remedy": remedy}) for remedy in remedies]
    together = drive_all(plasticity.run, configs, [FakeTrial(seed=n) for n in range(4)])
    for seed, config in enumerate(configs):
        alone = drive(plasticity.run, config, FakeTrial(seed=seed))
        assert together[seed][-1] == pytest.approx(alone[-1], rel=1e-3, abs=1e-5)


# --- continual backpropagation ----------------------------------------------------------------------------------------


def standing(use, age, **others):
    zeros = torch.zeros(1, len(use))
    own = {"use": torch.tensor([use]), "age": torch.tensor([age]), "mean": zeros, "credit": torch.zeros(1).double()}
    return own | {"step": torch.tensor(0)} | others


def test_the_mature_unit_of_least_use_starts_afresh_when_credit_is_one():
    """Four of five units are mature, so that a rate of 1/8 is due every other time. The young one is left alone."""
    begun = standing([0.5, 0.3, 0.4, 0.0, 0.9], [9.0, 9.0, 9.0, 2.0, 9.0])
    first, after = renewal.chosen(begun, 1 / 8, 5, 0.0)
    assert not first.any()
    assert all(torch.equal(after[name], begun[name]) for name in ("use", "age", "mean"))
    second, after = renewal.chosen(after, 1 / 8, 5, 0.0)
    assert second.tolist() == [[False, True, False, False, False]]
    assert after["credit"].tolist() == [0]
    assert after["age"].tolist() == [[9, 0, 9, 2, 9]]
    none, after = renewal.chosen(begun, 0.0, 5, 0.0)
    assert not none.any()
    assert after["credit"] == 0
    young, after = renewal.chosen(standing([0.5, 0.3], [1.0, 1.0], credit=torch.ones(1).double()), 0.5, 5, 0.0)
    assert not young.any()
    assert after["credit"] == 1


def test_use_is_the_running_mean_of_size_times_outgoing_weights_without_its_bias():
    found, above = (torch.tensor([[1.0, -3.0], [3.0, -1.0]]),), {"b.weight": torch.tensor([[1.0, 0.5], [-2.0, 0.5]])}
    known = renewal.newcomers(1, 2)
    for _ in range(3):
        known = renewal.judged(known, found, above, ["a", "b"], 0.9)
    torch.testing.assert_close(known["use"] / (1 - 0.9**3), torch.tensor([[2 * 3.0, 2 * 1.0]]))
    torch.testing.assert_close(renewal.usual(known, 0.9), torch.tensor([[2.0, -2.0]]))
    assert known["age"].tolist() == [[3, 3]]


def test_a_replaced_unit_that_is_steady_leaves_what_the_network_says():
    """What it put out goes into the biases above; its weights from below are fresh."""
    network = mlp.Config(width=6, depth=2).build((5,), 3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network[1].weight[2], network[1].bias[2] = 0, 0.7
    inputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(2))
    means = torch.stack([layer.mean(0) for layer in units.activities(network, inputs)]).detach()
    weights, layers = {name: p.detach() for name, p in network.named_parameters()}, ["1", "4", "7"]
    taken = torch.zeros(2, 6, dtype=torch.bool)
    taken[0, 2] = True
    key = draws.key_of(0, "renewal")
    fresh = renewal.fresh_rows(key, torch.tensor(3), weights, layers, 2**0.5)
    made = renewal.renewed(weights, taken, means, fresh, layers)
    torch.testing.assert_close(torch.func.functional_call(network, made, (inputs,)), network(inputs))
    assert made["1.weight"][2].abs().min() > 0
    assert made["1.bias"][2] == 0
    assert not made["4.weight"][:, 2].any()
    assert torch.equal(made["1.weight"][:2], weights["1.weight"][:2])


def test_fresh_rows_have_the_deviation_of_initial_ones_and_differ_between_layers_and_steps():
    shapes, key = {"weight": (4, 4000), "bias": (4,)}, draws.key_of(0, "renewal")
    weights = {f"{name}.{part}": torch.zeros(shape) for name in "abc" for part, shape in shapes.items()}
    first, later = (renewal.fresh_rows(key, torch.tensor(n), weights, ["a", "b", "c"], 2.0) for n in (1, 2))
    assert first.keys() == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert first["a.weight"].std().item() == pytest.approx(2 / 4000**0.5, rel=0.05)
    assert not torch.equal(first["a.weight"], first["b.weight"])
    assert not torch.equal(first["a.weight"], later["a.weight"])


def test_units_are_replaced_at_the_rate_that_is_asked_for():
    """Each step adds 8 units times 1/40 of credit once all are mature; no unit is replaced twice within its youth."""
    stream = tasks(remedy={"replace": 1 / 40, "maturity": 4})
    for _ in range(3):
        stream.learn()
    steps, ages = stream._standing["step"].item(), stream._standing["age"][0]
    assert steps == 3 * stream.fit.steps_per_epoch
    replaced = ages < steps
    assert replaced.any(1).all()
    assert (ages[replaced] <= steps - 4).all()
    still = tasks(remedy={"replace": 1e-9})
    for _ in range(3):
        still.learn()
    assert (still._standing["age"] == steps).all()


def test_a_rate_of_nearly_nothing_changes_no_bit():
    plain, other = tasks(), tasks(remedy={"replace": 1e-12})
    for stream in (plain, other):
        stream.learn()
    assert torch.equal(plain.fit.stack.parameters, other.fit.stack.parameters)


def test_a_stopped_trial_goes_on_with_the_standing_of_its_units():
    made = build(plasticity.Config, QUICK | {"remedy": {"replace": 0.05, "maturity": 3}})
    expected, begun = drive(plasticity.run, made, FakeTrial()), FakeTrial()
    first = drive(plasticity.run, made, begun, 2)
    assert first + drive(plasticity.run, made, FakeTrial(restored=begun.saved)) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"name": "linear"}}, "mlp without residuals"),
        ({"model": {"residual": True}}, "mlp without residuals"),
        ({"loss": "elr"}, "remembers no examples"),
        ({"model": {"activation": "crelu"}, "remedy": {"recycle_below": 0.1}}, "cannot start afresh"),
        ({"model": {"activation": "crelu"}, "remedy": {"replace": 0.1}}, "cannot start afresh"),
        ({"model": {"normalisation": "batch"}, "remedy": {"replace": 0.1}}, "have no bias"),
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

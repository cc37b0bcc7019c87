"""Every optimizer and schedule: closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import Component, check
from trainables.training.optimizers import adam, adamw, anchored, lbfgs, muon, sgd, shampoo
from trainables.training.schedules import constant, cosine, warmup
from trainables.training.stacking import Layout

OPTIMIZERS = Component("trainables.training.optimizers")
SCHEDULES = Component("trainables.training.schedules")


def descend(config, steps=1, start=1.0):
    """Where a parameter goes whose gradient is always 2."""
    model = torch.nn.Linear(1, 1, bias=False)
    layout, row, gradient = Layout(model), torch.tensor([start], dtype=torch.float64), torch.tensor([2.0]).double()
    state = config.start(row, layout)
    for _ in range(steps):
        row, state = config.update(gradient, row, state, layout)
    return row.item()


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_defaults_go_downhill(name):
    assert descend(OPTIMIZERS.config(name)(), steps=3) < 1


@pytest.mark.parametrize("name", OPTIMIZERS.names())
@pytest.mark.parametrize("field", ["lr", "weight_decay"])
def test_negative_settings_are_refused(name, field):
    assert [p.path for p in check(OPTIMIZERS.config(name), {field: -0.1})] == [(field,)]


def test_sgd_is_the_gradient_with_momentum_and_decay():
    assert descend(sgd.Config(lr=0.1, momentum=0)) == pytest.approx(1 - 0.2)
    assert descend(sgd.Config(lr=0.1, momentum=0, weight_decay=0.5)) == pytest.approx(1 - 0.1 * 2.5)
    assert descend(sgd.Config(lr=0.1, momentum=0.5), steps=2) == pytest.approx(1 - 0.2 - 0.1 * (2 + 0.5 * 2))
    assert descend(sgd.Config(lr=0.1, momentum=0.5, nesterov=True)) == pytest.approx(1 - 0.1 * (2 + 0.5 * 2))


def test_anchored_is_sgd_on_the_loss_and_half_the_squared_way_from_the_start():
    assert descend(anchored.Config(lr=0.1, momentum=0.0, pull=0.5)) == pytest.approx(1 - 0.2)
    assert descend(anchored.Config(lr=0.1, momentum=0.0, pull=0.5), steps=2) == pytest.approx(1 - 0.2 - 0.1 * (2 - 0.1))
    plain, unpulled = sgd.Config(weight_decay=0.1), anchored.Config(weight_decay=0.1, pull=0.0)
    assert descend(unpulled, steps=4) == pytest.approx(descend(plain, steps=4))


def test_nesterov_without_momentum_is_refused_before_anything_starts():
    (problem,) = check(sgd.Config, {"nesterov": True, "momentum": 0.0})
    assert "nesterov needs a momentum above 0" in problem.expected + problem.what


def test_adam_takes_steps_of_its_learning_rate():
    assert descend(adam.Config(lr=0.01), steps=3) == pytest.approx(1 - 0.03, rel=1e-6)


def test_adamw_decouples_the_decay_that_adam_normalises_away():
    assert descend(adamw.Config(lr=0.01, weight_decay=0.5)) == pytest.approx(1 - 0.01 * 0.5 - 0.01, rel=1e-6)
    assert descend(adam.Config(lr=0.01, weight_decay=0.5)) == pytest.approx(1 - 0.01, rel=1e-6)


@pytest.mark.parametrize(("ours", "kind"), [(adam, torch.optim.Adam), (adamw, torch.optim.AdamW)])
def test_amsgrad_is_that_of_torch(ours, kind):
    """With gradients that shrink, where the largest square so far is not the running mean."""
    config, model = ours.Config(lr=0.1, weight_decay=0.1, amsgrad=True), torch.nn.Linear(3, 2).double()
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.1, amsgrad=True)
    layout, row = Layout(model), torch.cat([p.detach().flatten() for p in model.parameters()])
    state = config.start(row, layout)
    for step in range(6):
        gradient = torch.linspace(-1, 2, 8, dtype=torch.float64) / 10**step
        for parameter, part in zip(model.parameters(), layout.split(gradient).values(), strict=True):
            parameter.grad = part.clone()
        optimizer.step()
        row, state = config.update(gradient, row, state, layout)
    torch.testing.assert_close(row, torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert (state["largest"] > state["square"]).any()


def first_step(config, gradients, start=0.0):
    """What a first step adds to parameters that all are ``start``, by name. ``gradients`` are by name, too."""
    module = torch.nn.ParameterDict({name: torch.zeros(g.shape) for name, g in gradients.items()})
    layout, gradient = (
        Layout(module),
        torch.cat([gradients[name].flatten() for name in dict(module.named_parameters())]),
    )
    row = torch.full_like(gradient, start)
    return layout.split(config.update(gradient, row, config.start(row, layout), layout)[0] - row)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3, 3)])
def test_muon_steps_along_an_orthogonal_matrix(shape):
    """Whatever the size of the gradient; longer where there are more rows than columns."""
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    step = first_step(muon.Config(lr=0.5), {"weight": 100 * gradient})["weight"].flatten(1)
    rows, columns = step.shape
    values = torch.linalg.svdvals(step) / (0.5 * max(1, rows / columns) ** 0.5)
    assert ((values > 0.6) & (values < 1.3)).all()
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    alignment = (left.T @ -step @ right.T).diagonal() / (0.5 * max(1, rows / columns) ** 0.5)
    torch.testing.assert_close(alignment.sort().values, values.sort().values, rtol=1e-3, atol=1e-4)
    smaller = first_step(muon.Config(lr=0.5), {"weight": gradient})["weight"].flatten(1)
    torch.testing.assert_close(step, smaller, rtol=1e-3, atol=1e-4)


def test_muon_takes_steps_of_adam_for_what_is_no_matrix():
    gradients = {"weight": torch.eye(3), "bias": torch.tensor([1.0, -20.0, 0.3])}
    step = first_step(muon.Config(lr=0.5, adam_ratio=0.2), gradients)["bias"]
    torch.testing.assert_close(step, torch.tensor([-0.1, 0.1, -0.1]))


def test_muon_decays_apart_from_the_gradient():
    step = first_step(muon.Config(lr=0.1, weight_decay=0.5), {"weight": torch.zeros(3, 3)}, start=2.0)["weight"]
    torch.testing.assert_close(step, torch.full((3, 3), -0.1))


def test_muon_agrees_with_that_of_torch():
    """Which takes its products in bfloat16."""
    model = torch.nn.Linear(6, 4, bias=False)
    optimizer = torch.optim.Muon(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.2)
    config, row = muon.Config(lr=0.1, momentum=0.9, weight_decay=0.2), model.weight.detach().flatten().clone()
    layout, generator = Layout(model), torch.Generator().manual_seed(0)
    state = config.start(row, layout)
    for _ in range(4):
        gradient = torch.randn(24, generator=generator)
        model.weight.grad = gradient.view(4, 6).clone()
        optimizer.step()
        row, state = config.update(gradient, row, state, layout)
    torch.testing.assert_close(row, model.weight.detach().flatten(), rtol=0, atol=0.02)
    assert (row - model.weight.detach().flatten()).abs().max() < 0.05 * row.abs().max()


@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (4, 2, 2)])
def test_shampoo_first_steps_along_the_nearest_orthogonal_matrix(shape):
    """With G = U S V', the preconditioners are U S^2 U' and V S^2 V', whose inverse fourth roots leave U V'."""
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    step = first_step(shampoo.Config(lr=0.5, epsilon=1e-9), {"weight": gradient})["weight"]
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    torch.testing.assert_close(step.flatten(1), -0.5 * left @ right, rtol=1e-3, atol=1e-3)


def test_shampoo_is_adagrad_for_what_is_no_matrix():
    step = first_step(shampoo.Config(lr=0.5, epsilon=1e-9), {"bias": torch.tensor([3.0, -0.1])})["bias"]
    torch.testing.assert_close(step, torch.tensor([-0.5, 0.5]))


def test_the_inverse_fourth_root_is_one():
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).double()
    matrix = matrix @ matrix.T
    power = torch.linalg.matrix_power(shampoo.inverse_fourth_root(matrix), 4)
    torch.testing.assert_close(power @ matrix, torch.eye(6).double(), rtol=1e-6, atol=1e-6)


# --- L-BFGS -----------------------------------------------------------------------------------------------------------

CURVATURES = torch.logspace(-1, 2, 12, dtype=torch.float64)  # from 0.1 to 100


def bowl(config, steps, curvatures=CURVATURES):
    """The distances from the minimum of a quadratic function, before the first step and after each."""
    layout, row = Layout(torch.nn.Linear(12, 1, bias=False)), torch.ones(12, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0)).double())[0]
    hessian, state, distances = basis * curvatures @ basis.T, config.start(row, layout), [row.norm().item()]
    for _ in range(steps):
        row, state = config.update(hessian @ row, row, state, layout)
        distances.append(row.norm().item())
    return distances


def test_lbfgs_is_at_the_minimum_of_a_quadratic_function_where_gradient_descent_is_far_from_it():
    best = 2 / (CURVATURES[0] + CURVATURES[-1]).item()  # learning rate of gradient descent
    quick = bowl(lbfgs.Config(history=20, longest=0.0), 60)
    assert quick[60] < 1e-5
    assert bowl(sgd.Config(lr=best, momentum=0.0), 60)[60] > 0.3


def test_lbfgs_with_one_curvature_needs_one_pair():
    """The second step is Newton's."""
    assert bowl(lbfgs.Config(lr=1.0, longest=0.0), 2, torch.full((12,), 0.3).double())[2] < 1e-12


def history(steps, changes):
    return {"steps": steps, "changes": changes, "weights": 1 / (steps * changes).sum(1)}


def test_newton_undoes_the_hessian_along_its_history():
    """The secant equation: the newest change of the gradient comes from the newest step; with all of them, all do."""
    generator = torch.Generator().manual_seed(0)
    steps, root = (torch.randn(6, 6, generator=generator).double() for _ in range(2))
    hessian = root @ root.T + torch.eye(6)
    changes = steps @ hessian
    torch.testing.assert_close(lbfgs.newton(changes[0], history(steps, changes)), steps[0])
    conjugate = torch.linalg.eigh(hessian).eigenvectors.T.contiguous()
    changes, gradient = conjugate @ hessian, torch.randn(6, generator=generator).double()
    made = lbfgs.newton(gradient, history(conjugate, changes))
    torch.testing.assert_close(made, torch.linalg.solve(hessian, gradient))


def test_lbfgs_without_history_is_gradient_descent():
    """A gradient that is the same everywhere has no curvature, so that no pair is ever kept."""
    config = lbfgs.Config(lr=0.1, longest=0.0, weight_decay=0.0)
    assert descend(config, steps=4) == pytest.approx(descend(sgd.Config(lr=0.1, momentum=0.0), steps=4))
    first, plain = (bowl(config, 1) for config in (lbfgs.Config(lr=0.01, longest=0.0), sgd.Config(lr=0.01)))
    assert first == pytest.approx(plain)


def test_pairs_without_curvature_are_left_out():
    """Where a function is concave, or flat, the history stays as it was."""
    row = torch.tensor([1.0, 2.0]).double()
    begun = lbfgs.Config(history=3).start(row, Layout(torch.nn.Linear(2, 1, bias=False)))
    kept = lbfgs.remembered(row, 2 * row, begun)
    assert kept["weights"].tolist() == [0.1, 0, 0]
    for change in (-row, torch.zeros(2).double(), torch.tensor([2.0, -1.0]).double()):
        again = lbfgs.remembered(row, change, kept)
        assert all(torch.equal(again[name], kept[name]) for name in kept)
    assert torch.equal(lbfgs.remembered(3 * row, row, kept)["steps"], torch.stack([3 * row, row, 0 * row]))


def test_lbfgs_takes_no_step_beyond_its_longest():
    assert descend(lbfgs.Config(lr=100.0, longest=0.25)) == pytest.approx(0.75)
    assert descend(lbfgs.Config(lr=0.1, longest=0.25)) == pytest.approx(0.8)


@pytest.mark.parametrize("name", SCHEDULES.names())
@given(total=st.integers(1, 200))
def test_factors_stay_in_the_unit_interval_and_peak_at_one(name, total):
    factors = [SCHEDULES.config(name)().factor(step, total) for step in range(total)]
    assert all(0 <= f <= 1 for f in factors)
    assert total < 2 or max(factors) == pytest.approx(1)


def test_constant_is_one():
    assert [constant.Config().factor(step, 3) for step in range(3)] == [1, 1, 1]


def test_warmup_rises_in_a_line_and_stays():
    schedule = warmup.Config(warmup_fraction=0.4)
    assert [schedule.factor(s, 10) for s in range(10)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


@given(step=st.integers(0, 99), final=st.floats(0, 1))
def test_cosine_has_its_closed_form(step, final):
    expected = final + (1 - final) * (1 + math.cos(math.pi * step / 100)) / 2
    assert cosine.Config(final_fraction=final).factor(step, 100) == pytest.approx(expected)


def test_cosine_after_warmup_starts_at_the_peak():
    schedule = cosine.Config(warmup_fraction=0.2)
    assert [schedule.factor(s, 10) for s in (0, 1, 2, 6)] == pytest.approx([1 / 3, 2 / 3, 1, 0.5])


@pytest.mark.parametrize("schedule", [warmup.Config(warmup_fraction=1), cosine.Config(warmup_fraction=1)])
def test_warmup_may_last_to_the_end(schedule):
    assert [schedule.factor(s, 4) for s in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])

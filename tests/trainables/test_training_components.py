"""Every optimizer and schedule: closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import Component, check
from trainables.training.optimizers import adam, adamw, sgd
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


def test_nesterov_without_momentum_is_refused_before_anything_starts():
    (problem,) = check(sgd.Config, {"nesterov": True, "momentum": 0.0})
    assert "nesterov needs a momentum above 0" in problem.expected + problem.what


def test_adam_takes_steps_of_its_learning_rate():
    assert descend(adam.Config(lr=0.01), steps=3) == pytest.approx(1 - 0.03, rel=1e-6)


def test_adamw_decouples_the_decay_that_adam_normalises_away():
    assert descend(adamw.Config(lr=0.01, weight_decay=0.5)) == pytest.approx(1 - 0.01 * 0.5 - 0.01, rel=1e-6)
    assert descend(adam.Config(lr=0.01, weight_decay=0.5)) == pytest.approx(1 - 0.01, rel=1e-6)


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

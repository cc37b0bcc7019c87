"""Factors to cells, nuisance parameters to suggestions, both to the config and the id of a trial."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps_for_tests import sweep

from sweeps import space


def ids(**changes):
    return [cell.id for cell in space.cells(sweep(**changes))]


def test_cells_are_every_combination_in_the_order_of_the_file():
    assert ids(factors={"a": [1, 2], "b": ["x", "y"]}) == ["a=1,b=x", "a=1,b=y", "a=2,b=x", "a=2,b=y"]


def test_without_factors_there_is_one_cell():
    assert ids(factors={}) == ["all"]


def test_zipped_factors_go_together():
    assert ids(factors={"a": [1, 2], "c": [0, 1], "b": ["x", "y"]}, zip=[["a", "b"]]) == [
        "a=1,b=x,c=0",
        "a=1,b=x,c=1",
        "a=2,b=y,c=0",
        "a=2,b=y,c=1",
    ]


def test_zipped_factors_may_repeat_levels_that_another_tells_apart():
    twice = [{"label": "once", "name": "x"}, {"label": "again", "name": "x"}]
    assert ids(factors={"a": twice, "b": [1, 1]}, zip=[["a", "b"]]) == ["a=once,b=1", "a=again,b=1"]


def test_excluded_cells_are_left_out():
    assert ids(factors={"a": [1, 2], "b": ["x", "y"]}, exclude=[{"a": 1, "b": "y"}]) == [
        "a=1,b=x",
        "a=2,b=x",
        "a=2,b=y",
    ]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        ({"linear": [0, 10], "levels": 3}, [0, 5, 10]),
        ({"linear": [0.0, 1.0], "levels": 5}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"geometric": [8, 64], "levels": 4}, [8, 16, 32, 64]),
        ({"geometric": [1e-4, 1e-1], "levels": 4}, [1e-4, 1e-3, 1e-2, 1e-1]),
    ],
)
def test_ranges_of_levels(factor, expected):
    found = space.levels(sweep(factors={"a": factor}).factors["a"])
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]


def test_mapping_levels_set_a_whole_component_and_are_named_by_their_label():
    asked = sweep(
        fixed={"model": {"name": "mlp", "width": 8}, "epochs": 3},
        factors={"model": [{"label": "wide", "name": "mlp", "width": 99}, {"label": "linear", "name": "linear"}]},
        nuisance={"model.dropout": {"low": 0.0, "high": 0.5, "when": {"model": "wide"}}},
    )
    wide, linear = space.cells(asked)
    assert (wide.id, linear.id) == ("model=wide", "model=linear")
    assert space.config(asked, wide, {"model.dropout": 0.1}) == {
        "model": {"name": "mlp", "width": 99, "dropout": 0.1},
        "epochs": 3,
    }
    assert space.config(asked, linear, {}) == {"model": {"name": "linear"}, "epochs": 3}
    assert list(space.parameters(asked, wide)) == ["model.dropout"]
    assert list(space.parameters(asked, linear)) == []


def test_config_shares_nothing_with_the_sweep():
    asked = sweep(fixed={"deep": {"list": [1]}}, factors={})
    space.config(asked, space.cells(asked)[0], {})["deep"]["list"].append(2)
    assert asked.fixed == {"deep": {"list": [1]}}


def test_parameter_follows_the_one_that_its_when_names():
    nuisance = {
        "beta": {"low": 0.0, "high": 1.0, "when": {"kind": "adam"}},
        "kind": {"choices": ["sgd", "adam"], "when": {"a": [1]}},
    }
    asked = sweep(nuisance=nuisance)
    assert [list(space.parameters(asked, cell)) for cell in space.cells(asked)] == [["kind", "beta"], []]


def test_circle_of_whens_is_refused():
    nuisance = {
        "x": {"low": 0.0, "high": 1.0, "when": {"y": 1}},
        "y": {"low": 0.0, "high": 1.0, "when": {"x": 1}},
    }
    asked = sweep(nuisance=nuisance)
    with pytest.raises(ValueError, match="x -> y -> x"):
        space.parameters(asked, space.cells(asked)[0])


def test_grid_leaves_absent_parameters_out_once():
    nuisance = {
        "kind": {"choices": ["plain", "momentum"]},
        "momentum": {"low": 0.5, "high": 0.9, "levels": 2, "when": {"kind": "momentum"}},
    }
    asked = sweep(nuisance=nuisance)
    assert space.grid(space.parameters(asked, space.cells(asked)[0])) == [
        {"kind": "plain"},
        {"kind": "momentum", "momentum": 0.5},
        {"kind": "momentum", "momentum": 0.9},
    ]


@given(st.text(min_size=1, max_size=400))
def test_names_of_folders_lead_nowhere_else(text):
    safe = space.safe_name(text)
    assert safe not in ("", ".", "..")
    assert set(safe) <= set(string.ascii_letters + string.digits + "._=,+-~")
    assert not safe.startswith(".")
    assert len(safe) <= 120
    assert safe != text or space.safe_name(safe) == safe


@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=2, unique=True))
def test_different_names_stay_different(names):
    assert len({space.safe_name(name) for name in names}) == 2


def test_trial_id_depends_on_config_trainable_and_seed_alone():
    base = space.trial_id("t", {"a": 1, "b": {"c": 2.0}}, 0)
    assert base == space.trial_id("t", {"b": {"c": 2.0}, "a": 1}, 0)
    others = [
        ("u", {"a": 1, "b": {"c": 2.0}}, 0),
        ("t", {"a": 2, "b": {"c": 2.0}}, 0),
        ("t", {"a": 1, "b": {"c": 2.0}}, 1),
    ]
    assert len({base, *(space.trial_id(*other) for other in others)}) == 4
    assert base == "dec35dc9ee62", "the id of a trial has changed: runs of earlier versions can no longer be resumed"

"""Inheritance, scales, overrides, names, and the lock file that reruns a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bad_files import GOOD, but, plus
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import resolve
from sweeps.document import Mark, parse, write
from sweeps.errors import SpecError
from sweeps.resolve import MAX_EXTENDS, dump, library, load
from sweeps.spec import Choice, Geometric, Linear, Range


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD)
    return tmp_path


def child(text: str, **options):
    Path("child.yaml").write_text(f"extends: good.yaml\n{text}")
    return load("child.yaml", **options)


def refusal(act) -> list[str]:
    with pytest.raises(SpecError) as caught:
        act()
    return caught.value.messages


# --- types -----------------------------------------------------------------------------------------------------------


def test_a_sweep_is_typed():
    sweep = load("good.yaml").sweep
    assert sweep.factors == {"model.name": ["mlp", "cnn"], "model.width": Geometric(geometric=(4, 16), levels=3)}
    assert sweep.nuisance["lr"] == Range(low=1e-3, high=1.0, log=True)
    assert sweep.objectives[0].goal == "minimize"
    assert sweep.search.sampler == "tpe"


def test_ints_stay_ints_and_ratios_become_floats():
    text = but("{geometric: [4, 16], levels: 3}", "{geometric: [1/255, 8/255], levels: 4}")
    Path("ratio.yaml").write_text(text)
    sweep = load("ratio.yaml").sweep
    assert sweep.factors["model.width"] == Geometric(geometric=(1 / 255, 8 / 255), levels=4)
    depth = sweep.nuisance["model.depth"]
    assert isinstance(depth, Range)
    assert depth.is_int
    assert type(depth.low) is int


# --- extends ---------------------------------------------------------------------------------------------------------


def test_extends_merges_mappings_and_replaces_lists():
    tree = child("sweep: child\nfactors: {model.name: [mlp]}\nseeds: {confirm: 9}\nclaims: []\n").tree
    assert tree["sweep"] == "child"
    assert tree["question"] == "Which model is better?"
    assert tree["factors"] == {"model.name": ["mlp"], "model.width": {"geometric": [4, 16], "levels": 3}}
    assert tree["seeds"] == {"tune": 1, "confirm": 9}
    assert tree["claims"] == []
    assert "extends" not in tree
    assert "scales" not in tree


def test_extends_may_change_one_end_of_a_range():
    assert child("nuisance: {lr: {high: 2.0}}").sweep.nuisance["lr"] == Range(low=1e-3, high=2.0, log=True)


def test_another_kind_replaces_a_range_a_factor_and_a_goal():
    sweep = child(
        "nuisance: {lr: {choices: [0.1]}}\nfactors: {model.width: {linear: [4, 8]}}\nobjective: {maximize: loss/test}"
    ).sweep
    assert sweep.nuisance["lr"] == Choice(choices=[0.1])
    assert sweep.factors["model.width"] == Linear(linear=(4, 8), levels=3)
    assert sweep.objectives[0].maximize == "loss/test"
    assert sweep.objectives[0].minimize is None


def test_null_removes_a_key():
    sweep = child("nuisance: {smoothing: null}\nscheduler: null\n").sweep
    assert "smoothing" not in sweep.nuisance
    assert sweep.scheduler.name == "none"


def test_null_is_a_value_where_there_is_nothing_to_remove():
    assert child("fixed: {clip: null}").tree["fixed"] == {"epochs": 3, "clip": None}


def test_dotted_keys_of_fixed_are_nested_and_merged():
    Path("good.yaml").write_text(but("{epochs: 3}", "{attack.norm: L2, model: mlp, attack: {steps: 3}}"))
    assert load("good.yaml").tree["fixed"] == {"attack": {"norm": "L2", "steps": 3}, "model": "mlp"}
    fixed = child("fixed: {attack.steps: 4, model.depth: 2}").tree["fixed"]
    assert fixed == {"attack": {"norm": "L2", "steps": 4}, "model": {"name": "mlp", "depth": 2}}


def test_places_stay_with_the_file_they_are_from():
    resolved = child("seeds: {confirm: 9}\n")
    assert resolved.document.marks["seeds", "confirm"] == Mark("child.yaml", 2, 18)
    assert resolved.document.marks["seeds", "tune"] == Mark("good.yaml", 15, 15)
    messages = refusal(lambda: child("nuisance: {lr: {low: x, hihg: 2}}"))
    assert messages[0].startswith("child.yaml:2:22: ")
    assert messages[1].startswith("child.yaml:2:25: ")


def test_an_error_of_the_base_is_reported_in_the_base():
    Path("good.yaml").write_text(but("points: 4", "points: x"))
    assert refusal(lambda: child("sweep: child"))[0].startswith("good.yaml:13:32: ")


def test_extends_is_relative_to_its_file(tmp_path):
    Path("deep").mkdir()
    Path("deep/a.yaml").write_text("extends: ../good.yaml\nsweep: a\n")
    assert load("deep/a.yaml").sweep.sweep == "a"
    assert load(tmp_path / "deep" / "a.yaml").sweep.seeds.confirm == 3


def test_a_shipped_sweep_can_be_extended():
    Path("mine.yaml").write_text("extends: quickstart\nsweep: mine\n")
    assert load("mine.yaml").sweep.trainable == "supervised.classify"


def test_circles_of_any_length():
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("extends: c.yaml\n")
    Path("c.yaml").write_text("extends: ./a.yaml\n")
    (line,) = refusal(lambda: load("a.yaml"))
    assert line == "c.yaml:1:10: extends goes round in a circle: got './a.yaml'"


def test_a_chain_of_files_has_an_end():
    Path("0.yaml").write_text(GOOD)
    for i in range(1, MAX_EXTENDS + 2):
        Path(f"{i}.yaml").write_text(f"extends: {i - 1}.yaml\n")
    assert load(f"{MAX_EXTENDS - 1}.yaml").sweep.sweep == "toy"
    assert "too many files" in refusal(lambda: load(f"{MAX_EXTENDS + 1}.yaml"))[0]


def test_a_missing_base_is_suggested():
    Path("a.yaml").write_text("extends: goood.yaml\n")
    (line,) = refusal(lambda: load("a.yaml"))
    assert line.startswith("a.yaml:1:10: no such file")
    assert "did you mean 'good.yaml'?" in line


# --- scales and --set ------------------------------------------------------------------------------------------------


def scaled(overrides: str) -> dict:
    Path("good.yaml").write_text(but("{search.points: 2}", overrides))
    return load("good.yaml", scale="smoke").tree


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        ("{search.points: 2}", ("search",), {"sampler": "tpe", "points": 2}),
        ("{search: {points: 2}}", ("search",), {"sampler": "tpe", "points": 2}),
        ("{fixed.data.name: cifar10}", ("fixed",), {"epochs": 3, "data": {"name": "cifar10"}}),
        ("{fixed.epochs: null}", ("fixed",), {}),
        ("{factors.model.name: [mlp]}", ("factors", "model.name"), ["mlp"]),
        ("{factors.model.width.levels: 2}", ("factors", "model.width"), {"geometric": [4, 16], "levels": 2}),
        ("{nuisance.lr.low: 1e-2}", ("nuisance", "lr"), {"low": 1e-2, "high": 1.0, "log": True}),
        ("{nuisance.lr: {choices: [1]}}", ("nuisance", "lr"), {"choices": [1]}),
        ("{nuisance.model.depth.when.model.name: cnn}", ("nuisance", "model.depth", "when", "model", "name"), "cnn"),
        ("{nuisance.model.depth: null}", ("nuisance",), {"lr": ..., "smoothing": ...}),
        ("{nuisance.new.one: {low: 1, high: 2}}", ("nuisance", "new.one"), {"low": 1, "high": 2}),
        ("{resources.gpus: 1}", ("resources",), {"gpus": 1}),
    ],
)
def test_scale(overrides, path, expected):
    Path("good.yaml").write_text(but("{search.points: 2}", overrides))
    root = resolve._scaled(resolve._inherited(Path("good.yaml"), ()), "smoke")
    found = root.get(path).plain
    if isinstance(expected, dict) and ... in expected.values():
        assert found.keys() == expected.keys()
    else:
        assert found == expected


def test_the_longest_known_key_wins():
    Path("good.yaml").write_text(but("  lr: {", "  model: {low: 1, high: 2}\n  lr: {"))
    sweep = load("good.yaml", sets=["nuisance.model.depth.high=7", "nuisance.model.low=0"]).sweep
    assert sweep.nuisance["model.depth"].model_dump()["high"] == 7
    assert sweep.nuisance["model"].model_dump()["low"] == 0


def test_scales_are_inherited_and_merged():
    resolved = child("scales: {smoke: {seeds.confirm: 2}, paper: {fixed.epochs: 90}}\n", scale="smoke")
    assert (resolved.sweep.search.points, resolved.sweep.seeds.confirm) == (2, 2)
    assert resolved.scales == ("smoke", "paper")


def test_set_comes_last_and_reads_values_as_yaml():
    sets = [
        "search.points=7",
        "fixed.lr=1e-3",
        "fixed.on=off",
        "fixed.list=[1, a]",
        "question=What, now?",
        "fixed.x= 8/255 ",
    ]
    resolved = load("good.yaml", scale="smoke", sets=sets)
    assert resolved.sweep.search.points == 7
    assert resolved.sweep.fixed == {"epochs": 3, "lr": 1e-3, "on": "off", "list": [1, "a"], "x": "8/255"}
    assert resolved.sweep.question == "What, now?"
    assert str(resolved.document.marks["search", "points"]) == "--set search.points"


def test_an_empty_set_removes():
    assert load("good.yaml", sets=["nuisance.lr=", "claims="]).sweep.nuisance.keys() == {"smoothing", "model.depth"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("search.points", "--set: not an override: got 'search.points', expected key=value"),
        ("=3", "--set: not an override"),
        ("search.points=x", "--set search.points: wrong type: got 'x', expected an integer"),
        ("search.poinds=3", "--set search.poinds: unknown key: got 'poinds'; did you mean 'points'?"),
        (
            "nuisance.lrr.low=3",
            "--set nuisance.lrr.low: unknown key: got 'nuisance.lrr.low'; did you mean 'nuisance.lr.low'?",
        ),
        ("fixed.x=[1", "--set fixed.x: a ',' or ']' is missing"),
        ("fixed.x=!!python/name:os.system ''", "--set fixed.x: unknown tag"),
        ("extends=a.yaml", "--set extends: cannot be overridden"),
    ],
)
def test_wrong_sets(text, words):
    (line,) = refusal(lambda: load("good.yaml", sets=[text]))
    assert line.startswith(words)


def test_an_unknown_scale():
    (line,) = refusal(lambda: load("good.yaml", scale="smok"))
    assert line == "good.yaml:22:1: unknown scale: got 'smok'; did you mean 'smoke'?"


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    root = tmp_path / "shipped"
    for name in ("quickstart", "capacity/emc", "capacity/double", "robustness/double"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.yaml").write_text(GOOD)
    monkeypatch.setattr(resolve, "LIBRARY", root)
    return root


def test_shipped_sweeps_by_name(shipped):
    assert [*library()] == ["capacity/double", "capacity/emc", "quickstart", "robustness/double"]
    assert load("quickstart").path == shipped / "quickstart.yaml"
    assert load("capacity/emc").path == load("emc").path == shipped / "capacity" / "emc.yaml"


def test_a_name_that_several_have(shipped):
    assert "capacity/double or robustness/double" in refusal(lambda: load("double"))[0]


def test_a_local_file_comes_before_a_shipped_one(shipped):
    Path("quickstart").write_text(but("sweep: toy", "sweep: mine"))
    assert load("quickstart").sweep.sweep == "mine"


def test_a_folder_does_not_hide_a_shipped_sweep(shipped):
    Path("quickstart").mkdir()
    assert load("quickstart").path.parent == shipped
    Path("other").mkdir()
    assert "a folder" in refusal(lambda: load("other"))[0]


@pytest.mark.parametrize(
    ("name", "near"), [("quikstart", "quickstart"), ("capacity/emk", "capacity/emc"), ("goood.yaml", "good.yaml")]
)
def test_the_nearest_name(shipped, name, near):
    (line,) = refusal(lambda: load(name))
    assert line.startswith(f"{name}: no such file")
    assert line.endswith(f"did you mean '{near}'?")


# --- the lock file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [None, "smoke"])
@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        but("{low: 1e-3, high: 1.0, log: true}", "{choices: [1e-3, '1e-3', 1, '1', true, 'true', off, 8/255]}"),
        but("{minimize: loss/validation}", "[{minimize: a, at: {mean_of_last: 3}}, {maximize: b, at: best}]"),
        but("{epochs: 3}", "{a: 2024-01-01, b: 'null', c: null, d: 1e-7, e: .inf, f: '.inf', g: é, h: \"a\\tb\"}"),
        but("Which model is better?", "\"What: is 'it'? # no comment\""),
        plus("zip: [[model.name, model.width]]\nexclude: [{model.width: 8}]\n"),
        but("[mlp, cnn]", "[{label: 1e-3, name: mlp}, {label: off, name: cnn}]"),
    ],
    ids=["good", "scalars", "objectives", "fixed", "question", "lists", "labels"],
)
def test_the_lock_loads_as_the_same_sweep(text, scale):
    Path("a.yaml").write_text(text)
    resolved = load("a.yaml", scale, ["fixed.extra=1e-3"])
    Path("sweep.lock.yaml").write_text(dump(resolved), "utf-8")
    again = load("sweep.lock.yaml")
    assert again.sweep == resolved.sweep
    assert repr(again.sweep) == repr(resolved.sweep)
    assert again.tree == resolved.tree
    assert dump(again) == dump(resolved)
    assert "scales" not in again.tree


def test_other_readers_of_yaml_see_the_same_text_in_the_lock():
    """Whatever is text for us is in quotes where YAML 1.1 would take it for something else."""
    for text in ("off", "1e-3", "null", "2024-01-01", "1_000", "12:30", "0x1F", "<<"):
        assert yaml.safe_load(write({"a": text, text: 1})) == {"a": text, text: 1}


@settings(deadline=None, max_examples=30)
@given(
    low=st.floats(1e-12, 1.0),
    high=st.floats(1.0, 1e12),
    levels=st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-9, 9) | st.booleans(), min_size=1),
)
def test_the_lock_keeps_every_value(low, high, levels):
    tree = parse(GOOD, lambda at: Mark("x", at.line)).plain
    tree["nuisance"]["lr"] |= {"low": low, "high": high}
    tree["factors"]["model.name"] = levels
    Path("a.yaml").write_text(write(tree), "utf-8")
    resolved = load("a.yaml")
    assert resolved.sweep.factors["model.name"] == levels
    assert resolved.sweep.nuisance["lr"] == Range(low=low, high=high, log=True)
    Path("b.yaml").write_text(dump(resolved), "utf-8")
    assert load("b.yaml").sweep == resolved.sweep

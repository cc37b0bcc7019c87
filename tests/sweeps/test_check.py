"""Every wrong file gets its message, at its place; right ones get none."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_files import BAD, GOOD, Bad, but, plus

from sweeps.check import check, check_all_scales
from sweeps.check_config import representative
from sweeps.errors import SpecError
from sweeps.resolve import library, load
from sweeps.space import cells

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    shutil.copy(HERE / "toy.py", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def messages(text: str | bytes) -> list[str]:
    Path("bad.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        check_all_scales(load("bad.yaml"))
    except SpecError as error:
        return error.messages
    return []


def test_the_good_file_is_good():
    assert messages(GOOD) == []


def test_the_table_is_long_and_without_doubles():
    assert len(BAD) >= 60
    assert len({bad.id for bad in BAD}) == len({bad.text for bad in BAD}) == len(BAD)


@pytest.mark.parametrize("bad", BAD, ids=[bad.id for bad in BAD])
def test_bad_file(bad: Bad):
    found = messages(bad.text)
    assert all(line.startswith("bad.yaml:") and line.isprintable() and len(line) < 400 for line in found)
    assert len(set(found)) == len(found)
    place = f"bad.yaml:{bad.at}: " if bad.at else "bad.yaml: "
    here = [line for line in found if line.startswith(place)]
    assert any(all(word in line for word in bad.words.split("|")) for line in here), found


def test_all_errors_come_at_once_and_in_the_order_of_the_file():
    text = but("points: 4", "points: x", but("tune: 1", "tun: 1", but("log: true", "lgo: true")))
    lines = [int(line.split(":")[1]) for line in messages(text)]
    assert lines == [9, 13, 15]


def test_errors_against_itself_and_against_the_trainable_come_at_once():
    text = but("{epochs: 3}", "{epochs: 0}", but("loss/test", "loss/tset", but("[mlp, cnn]", "[mlp, cnn, mlp]")))
    assert [line.split(":")[1] for line in messages(text)] == ["6", "18"]
    text = but("{epochs: 3}", "{epochs: 0}", but("loss/test", "loss/tset", but("confirm: 3", "confirm: 0")))
    assert [line.split(":")[1] for line in messages(text)] == ["4", "15", "18"]


def test_an_error_of_one_scale_is_said_once_with_its_scale():
    text = but("{search.points: 2}", "{seeds.confirm: 1}\n  tiny: {seeds.confirm: 1}")
    assert [line.rsplit(" (", 1)[1] for line in messages(text)] == ["with --scale smoke)", "with --scale tiny)"]


def test_an_error_of_the_file_is_not_repeated_for_each_scale():
    assert len(messages(but("{epochs: 3}", "{epochs: 0}"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        but("{geometric: [4, 16], levels: 3}", "[4, 16]"),
        but("fixed: {epochs: 3}", "fixed: {model.depth: 2, attack: {epsilon: 8/255}}")
        .replace("  model.depth: {low: 1, high: 3, when: {model.name: mlp}}\n", "")
        .replace("[mlp, cnn]", "[mlp]")
        .replace("{model.name: cnn}", "{model.width: 4}"),
        but("{low: 1e-3, high: 1.0, log: true}", "{choices: [0.1, 1/2]}"),
        but("{low: 0.0, high: 0.5}", "{low: 0, high: 1, step: 1}"),
        plus("constraints: {lr: {at_most: smoothing}, parameters: {at_most: 1e4}}\n"),
        plus("exclude: [{model.name: cnn, model.width: 16}]\n"),
        but("tpe, points: 4", "grid, points: 9999")
        .replace("log: true", "levels: 3")
        .replace("0.5}", "0.5, step: 0.25}")
        .replace("search.points: 2", "seeds.confirm: 2"),
        but("{minimize: loss/validation}", "[{minimize: loss/validation}, {maximize: loss/test}]"),
        but("    against: {model.name: cnn}\n    expect: less", "    expect: increases\n    along: model.width"),
        but("against: {model.name: cnn}", "against: {model.name: c*}"),
        but("loss/validation}", "loss/validation, at: {mean_of_last: 3}}"),
        but("{name: none}", "{name: hyperband, max_steps: 27}"),
        but("when: {model.name: mlp}", "when: {model.name: [mlp], smoothing: 0.25}"),
    ],
    ids=itertools.count(),
)
def test_what_is_allowed(text):
    assert messages(text) == []


def test_a_component_as_level_may_be_tuned_inside():
    text = GOOD.replace("model.name: [mlp, cnn]", "model: [{label: mlp, name: mlp}, {label: cnn, name: cnn}]")
    text = text.replace("  model.width: {geometric: [4, 16], levels: 3}\n", "").replace("{model.name: ", "{model: ")
    assert messages(text) == []
    text = text.replace("name: mlp}, ", "name: mlp, depth: 2}, ")
    assert messages(text) == ["bad.yaml:10:3: set twice (also in factors): got 'model.depth'"]


def test_a_trainable_without_config_and_metrics_takes_anything():
    Path("plain.py").write_text("def train(config):\n    return {'x': 1}\n")
    assert messages(but("toy.py", "plain.py:train", but("loss/test", "anything"))) == []


def test_a_config_that_raises_is_an_error_of_one_line():
    code = "def __post_init__(self):\n        raise KeyError('two\\nlines')"
    text = Path("toy.py").read_text().replace("epochs: PositiveInt = 5", f"epochs: PositiveInt = 5\n\n    {code}")
    Path("toy.py").write_text(text)
    assert any("KeyError" in line for line in messages(GOOD))


def test_the_trainable_is_looked_for_beside_the_sweep_then_here(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    Path("deep/sweep.yaml").write_text(GOOD)
    assert load("deep/sweep.yaml").search_path == tmp_path
    check(load("deep/sweep.yaml"))
    shutil.move("toy.py", "deep")
    assert load("deep/sweep.yaml").search_path == tmp_path / "deep"
    check(load("deep/sweep.yaml"))


@pytest.mark.parametrize("name", library())
def test_shipped_sweeps_are_right_at_every_scale(name):
    check_all_scales(load(name))


def test_checking_imports_nothing_heavy():
    code = (
        "import sys; from sweeps.check import check_all_scales; from sweeps.resolve import load\n"
        "check_all_scales(load('quickstart'))\n"
        "print(*{'torch', 'ray', 'optuna', 'pandas', 'sklearn', 'matplotlib', 'scipy'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_the_cells_that_are_tried_hold_every_pair_of_levels():
    Path("sweep.yaml").write_text(
        but("{geometric: [4, 16], levels: 3}", "[1, 2, 3, 4, 5]\n  attack.norm: [L2, Linf]\n  epochs: [1, 2, 3, 4]")
    )
    everything = cells(load("sweep.yaml", sets=["fixed.epochs="]).sweep)
    some = representative(everything)

    def pairs(chosen):
        return {pair for cell in chosen for pair in itertools.combinations(sorted(cell.levels.items()), 2)}

    assert pairs(some) == pairs(everything)
    assert len(some) < len(everything)

"""References find the code that they name, and say plainly why not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from trainables import registry
from trainables.api import Fraction, PerMember
from trainables.config import Component, ConfigError
from trainables.explain import fields
from trainables.models import mlp
from trainables.registry import TrainableError, find

MODULE = '''
"""Mine."""
from dataclasses import dataclass
from sibling import RATE

METRICS = {"loss": "what it is"}
NOT_REPRODUCIBLE = ("speed",)


@dataclass(frozen=True)
class Config:
    lr: float = RATE


def run_one(config: Config, trial):
    yield {"loss": config.lr}


def train(config):
    return {"loss": config.lr}


def plain(config: dict):
    return {"loss": config["lr"]}


def steps(config):
    return 1


def nothing():
    return {}


def three(a, b, c):
    return {}


def number(config):
    return 3


word = "text"
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "sibling.py").write_text("RATE = 0.25\n")
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").write_text("")
    (tmp_path / "package_of_mine" / "module.py").write_text("def run_one(config):\n    return {'x': 1}\n")
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def refusal(reference: str, folder: Path) -> str:
    with pytest.raises(TrainableError) as caught:
        find(reference, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shipped_names_are_listed_without_imports():
    code = "import sys; from trainables import registry; print(registry.names(), 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'supervised.classify'" in result.stdout
    assert result.stdout.strip().endswith("False")


def test_a_shipped_trainable():
    found = find("supervised.classify")
    assert found.config is not None
    assert found.takes_trial
    assert found.metrics
    assert "loss/validation" in found.metrics
    assert registry.headline("supervised.classify").startswith("Trains a classifier")


def test_every_shipped_name_loads():
    assert all(find(name).config for name in registry.names())


def test_a_file(folder):
    found = find("mine.py", folder)
    assert found.config is found.module.Config
    assert found.metrics == {"loss": "what it is"}
    assert found.not_reproducible == ("speed",)
    assert found.steps is found.module.steps
    assert found.resolve({}) == {"lr": 0.25}
    assert found.build({"lr": 1}).lr == 1.0
    assert [*found.run([found.build({})], [None])] == [{0: {"loss": 0.25}}]  # type: ignore[arg-type]


def test_a_file_by_its_whole_path(folder):
    assert find(str(folder / "mine.py"), "/").function(None, None)


def test_a_plain_function_yields_once(folder):
    found = find("mine.py:train", folder)
    assert not found.takes_trial
    assert found.config is found.module.Config
    assert [*found.run([found.build({"lr": 3.0})], [None])] == [{0: {"loss": 3.0}}]  # type: ignore[arg-type]


def test_a_function_of_plain_mappings_has_no_config(folder):
    found = find("mine.py:plain", folder)
    assert found.config is None
    assert found.validate({"anything": object()}) == []
    assert found.resolve({"lr": 2}) == found.build({"lr": 2}) == {"lr": 2}


def test_a_result_that_is_no_metrics(folder):
    with pytest.raises(TrainableError, match="returned int, expected a mapping"):
        next(find("mine.py:number", folder).run([{}], [None]))  # type: ignore[arg-type]


def test_problems_and_errors_of_a_config(folder):
    found = find("mine.py", folder)
    assert [problem.path for problem in found.validate({"lr": "fast", "x": 1})] == [("lr",), ("x",)]
    with pytest.raises(ConfigError):
        found.build({"lr": "fast"})


def test_configs_of_a_file_can_be_pickled(folder):
    config = find("mine.py", folder).build({"lr": 3.0})
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_file_is_loaded_once_until_it_changes(folder):
    first = find("mine.py", folder).module
    assert find("mine.py", folder).module is first
    (folder / "mine.py").write_text(MODULE + "NEW = 1\n")
    second = find("mine.py", folder).module
    assert second is not first
    assert second.NEW == 1


def test_a_module(folder):
    assert find("package_of_mine.module", folder).function({}) == {"x": 1}
    assert find("package_of_mine.module:run_one", folder).function({}) == {"x": 1}


def test_the_folder_of_the_user_hides_nothing(folder):
    (folder / "json.py").write_text("raise RuntimeError\n")
    (folder / "uses.py").write_text("import json\n\ndef run_one(config):\n    return json.loads('{}')\n")
    assert find("uses.py", folder).function({}) == {}


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("mime.py", "no such file|'mime.py'|did you mean 'mine.py'"),
        ("mi\0ne.py", "no such file"),
        (f"{'m' * 300}.py", "cannot be loaded: File name too long"),
        ("supervised.clasiffy", "no such trainable|did you mean 'supervised.classify'"),
        ("nowhere.to.be_found", "no such trainable|'nowhere.to.be_found'|supervised.classify"),
        ("../bad name", "no such trainable"),
        ("mine.py:tran", "no such function|'tran'|did you mean 'train'"),
        ("mine.py:word", "not a function|str 'word'"),
        ("mine.py:nothing", "wrong arguments|got ()|(config) or (config, trial)"),
        ("mine.py:three", "wrong arguments|got (a, b, c)"),
        ("package_of_mine", "no such function|'run_one'"),
        ("package_of_mine.mmodule", "no such trainable"),
    ],
)
def test_references_that_lead_nowhere(folder, reference, words):
    text = refusal(reference, folder)
    assert all(word in text for word in words.split("|")), text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\n\nx = 1 / 0\n", "broken.py:3: ZeroDivisionError: division by zero"),
        ("def f(:\n", "broken.py:1: syntax error"),
        ("import not_installed_anywhere\n", "broken.py:1: ModuleNotFoundError|not_installed_anywhere"),
        ("raise SystemExit(3)\n", "broken.py:1: SystemExit"),
        ("def f():\n    raise ValueError('two\\nlines')\n\nf()\n", "broken.py:2: ValueError: two lines"),
    ],
)
@pytest.mark.parametrize("reference", ["broken.py", "broken"])
def test_code_that_fails_on_import(folder, code, words, reference):
    (folder / "broken.py").write_text(code)
    text = refusal(reference, folder)
    assert all(word in text for word in words.split("|")), text
    (folder / "broken.py").write_text("def run_one(config):\n    return {}\n")
    assert find("broken.py", folder).function({}) == {}


# --- explain ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    norm: Literal["L2", "Linf"] = "L2"
    """Which norm."""


@dataclass(frozen=True)
class Outer:
    needed: int
    rate: PerMember[Fraction] = 0.5
    """How much.

    In two paragraphs."""
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    model: Annotated[Any, Component("trainables.models")] = field(default_factory=mlp.Config)
    text: str | None = None


def test_fields_of_a_config():
    found = {one.path: one for one in fields(Outer)}
    assert [*found] == ["needed", "rate", "sizes", "inner", "inner.norm", "model", "text"]
    assert found["needed"].required
    rate = found["rate"]
    assert (rate.type, rate.default, rate.range, rate.per_member) == ("float", 0.5, ">= 0, <= 1", True)
    assert rate.doc == "How much.\n\nIn two paragraphs."
    assert (found["sizes"].type, found["inner.norm"].type) == ("list of int", "L2 | Linf")
    assert found["text"].type == "text | null"
    assert found["inner.norm"].doc == "Which norm."
    assert found["model"].default == "mlp"
    assert "mlp" in found["model"].choices
    assert "model.width" in [one.path for one in found["model"].choices["mlp"]]


def test_explain_by_reference(folder):
    assert [one.path for one in registry.explain("mine.py", folder)] == ["lr"]
    assert registry.explain("mine.py:plain", folder) == []
    assert all(one.doc for one in registry.explain("supervised.classify"))


def test_a_component_without_a_name_is_the_default_one_with_changes():
    found = find("supervised.classify")
    default = found.resolve({})["optimizer"]
    assert found.resolve({"optimizer": {"lr": 0.5}})["optimizer"] == {**default, "lr": 0.5}
    assert [p.path for p in found.validate({"optimizer": {"lr": -1.0, "lrr": 1}})] == [
        ("optimizer", "lr"),
        ("optimizer", "lrr"),
    ]

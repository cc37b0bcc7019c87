"""A user's own code sweeps from a folder outside this repository, and nothing here changes for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prompt import decisions, started

SWEEP = """
sweep: own
question: Which size is better?
trainable: {trainable}
factors: {{size: [1, 2]}}
nuisance: {{lr: {{low: 1e-3, high: 1.0, log: true}}}}
objective: {{minimize: loss}}
search: {{points: 2}}
seeds: {{confirm: 2}}
"""

WITH_CONFIG = """
from dataclasses import dataclass
from trainables.api import Positive, PositiveInt

METRICS = {"loss": "a square"}

@dataclass(frozen=True)
class Config:
    lr: Positive = 0.1
    size: PositiveInt = 1
    extra: str = "default"
"""

PLAIN = "def train(config):\n    return {'loss': config['lr'] * config['size']}\n"
GENERATOR = """
def train(config, trial):
    noise = trial.streams.numpy("noise")
    for step in range(3):
        yield {"loss": config["lr"] * config["size"] / (step + 1) + noise.random()}
"""
TYPED_PLAIN = WITH_CONFIG + "def train(config: Config):\n    return {'loss': config.lr * config.size}\n"
TYPED_GENERATOR = f"""{WITH_CONFIG}
def train(config: Config, trial):
    for step in range(2):
        yield {{"loss": config.lr * config.size + trial.streams.numpy("noise").random()}}
"""
SIBLING = "from own_sibling import square\n\ndef train(config):\n    return {'loss': square(config['lr'])}\n"


@pytest.fixture
def user(user):
    user.reports = False
    return user


def run_it(user, trainable: str):
    user.write("own.yaml", SWEEP.format(trainable=trainable))
    said = user.assay("run", "own.yaml", "--inline")
    assert said.code == 0, said.err
    assert len(decisions(user.run, "done")) == 8
    return said


@pytest.mark.parametrize(
    "code",
    [PLAIN, GENERATOR, TYPED_PLAIN, TYPED_GENERATOR],
    ids=["function", "generator", "function with Config", "generator with Config"],
)
def test_one_file_is_enough(user, code):
    user.write("own.py", code)
    assert "Which size is better?" in run_it(user, "own.py:train").out


def test_the_first_function_may_have_the_usual_name(user):
    user.write("own.py", PLAIN.replace("def train", "def run_one"))
    run_it(user, "own.py")


def test_file_may_import_its_neighbours(user):
    user.write("own.py", SIBLING)
    user.write("own_sibling.py", "def square(x):\n    return x**2\n")
    run_it(user, "own.py:train")
    assert {path.stem for path in (user.run / "code").iterdir()} == {"own", "own_sibling"}


def test_file_may_lie_in_a_folder(user):
    user.write("models/own.py", PLAIN)
    run_it(user, "models/own.py:train")


@pytest.mark.parametrize(("package", "function"), [("own_one", ""), ("own_two", ":train")])
def test_package_is_found_beside_the_sweep(user, package, function):
    user.write(f"{package}/__init__.py", "")
    user.write(f"{package}/deep/__init__.py", "")
    user.write(f"{package}/deep/model.py", f"from {package}.deep.layer import TWO\n{PLAIN}\nrun_one = train\n")
    user.write(f"{package}/deep/layer.py", "TWO = 2\n")
    run_it(user, f"{package}.deep.model{function}")
    assert f"{package}.deep.layer.py" in {path.name for path in (user.run / "code").iterdir()}


def test_readme_shows_code_that_runs(user):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```(?:python|yaml)\n(# (?:my_file\.py|mine\.yaml)\n.*?)```", text, re.DOTALL):
        user.write(block.split()[1], block)
    assert len((user.folder / "my_file.py").read_text().splitlines()) <= 10
    said = user.process("run", "mine.yaml", "--inline")
    assert said.code == 0, said.err
    assert "tuned" in said.out


def test_sweep_may_be_named_from_elsewhere(user):
    user.write("study/own.py", PLAIN)
    user.write("study/own.yaml", SWEEP.format(trainable="own.py:train"))
    assert user.assay("run", "study/own.yaml", "--inline").code == 0
    assert user.assay("resume", "own", "--inline").code == 0
    assert set(started(user.run).values()) == {1}


def test_config_of_a_users_own_is_checked_too(user):
    user.write("own.py", TYPED_PLAIN)
    user.write("own.yaml", SWEEP.format(trainable="own.py:train").replace("size:", "sice:"))
    said = user.assay("check", "own.yaml")
    assert said.code == 2
    assert "did you mean 'size'?" in said.err
    user.write("own.yaml", SWEEP.format(trainable="own.py:train").replace("[1, 2]", "[0, 2]"))
    assert re.search(r"own\.yaml:5:\d+: .*size", user.assay("check", "own.yaml").err)


def test_defaults_are_part_of_what_is_recorded(user):
    user.write("own.py", TYPED_PLAIN)
    run_it(user, "own.py:train")
    assert {record["config"]["extra"] for record in decisions(user.run, "planned")} == {"default"}


def test_generator_is_not_told_apart_by_its_randomness(user):
    """The same sweep in another folder reports the same numbers."""
    user.write("own.py", GENERATOR)
    run_it(user, "own.py:train")
    user.assay("run", "own.yaml", "--inline", "--runs", "other")
    values = [
        {record["trial"]: record["values"] for record in decisions(run, "done")}
        for run in (user.run, next((user.folder / "other" / "own").iterdir()))
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("trainable", "code", "line"),
    [
        ("owm.py:train", PLAIN, "did you mean 'own.py'?"),
        ("own.py:trainn", PLAIN, "did you mean 'train'?"),
        ("own.py:train", "import no_such_module\n", "own.py:1: ModuleNotFoundError"),
        ("own.py:train", "def train(:\n", "own.py:1: syntax error"),
        ("own.py:train", "def train():\n    pass\n", "expected (config) or (config, trial)"),
        ("own.py:train", "raise SystemExit(1)\n", "own.py:1: SystemExit"),
    ],
)
def test_code_that_cannot_be_used_is_one_line_with_its_place(user, trainable, code, line):
    user.write("own.py", code)
    user.write("own.yaml", SWEEP.format(trainable=trainable))
    said = user.assay("run", "own.yaml", "--inline")
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.err.startswith("own.yaml:4:12: ")
    assert line in said.err
    assert not user.runs

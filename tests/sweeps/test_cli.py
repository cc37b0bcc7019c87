"""What a user sees at the prompt before anything runs: help, checks, plans, scaffolds, and one line per mistake."""

from __future__ import annotations

import json
import re

import pytest
from prompt import in_one_line

RUNS = ("run", "resume", "status", "runs", "report", "rerun")
COMMANDS = (*RUNS, "check", "plan", "list", "explain", "schema", "submit", "attach", "stop", "fetch", "jobs")


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_says_what_each_command_does(user):
    said = user.assay("--help")
    assert said.code == 0
    for command in (*COMMANDS, "new"):
        assert re.search(rf"{command} +[A-Z]\w+ .*", said.out), command


@pytest.mark.parametrize("command", [*COMMANDS, "new trainable", "new sweep"])
def test_help_of_a_command_explains_its_arguments_and_options(user, command):
    said = user.assay(*command.split(), "--help")
    assert said.code == 0
    for name, rest in re.findall(r"(--[a-z-]+)([^│]*)", said.out.partition("Options")[2]):
        assert len(rest.split()) >= 2, f"{command}: {name} is not explained"


def test_without_arguments_help_is_shown(user):
    said = user.assay()
    assert "Usage" in said.out + said.err
    assert "On a cluster" in said.out + said.err
    assert user.assay("checks").code == 2


# --- check and plan --------------------------------------------------------------------------------------------------


def test_check_of_a_good_file(user):
    user.bowl()
    said = user.assay("check", "bowl.yaml")
    assert (said.code, said.out, said.err) == (0, "bowl.yaml: fine\n", "")


def test_check_says_one_line_per_mistake_and_exits_with_two(user):
    user.bowl(seed="{confirm: 3}", search="{sampler: tpee, points: 0}")
    said = user.process("check", "bowl.yaml")
    assert said.code == 2
    assert said.out == ""
    assert len(said.lines) == 3
    assert all(re.match(r"bowl\.yaml:\d+:\d+: ", line) for line in said.lines)
    assert "did you mean 'seeds'?" in said.err
    assert "did you mean 'tpe'?" in said.err


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_unknown_sweep_names_the_nearest(user, command):
    said = user.assay(command, "quikstart")
    assert said.code == 2
    assert said.lines == ["quikstart: no such file, and no shipped sweep of this name; did you mean 'quickstart'?"]


def test_check_holds_every_scale_against_the_trainable(user):
    user.bowl(scales="{smoke: {search.point: 1}}")
    said = user.assay("check", "bowl.yaml")
    assert said.code == 2
    assert "--scale smoke" in said.err
    assert "points" in said.err


@pytest.mark.parametrize(
    ("options", "trials"),
    [
        ([], "10 = 6 to tune + 4 to confirm, in 2 cells"),
        (["--scale", "smoke"], "4 = 2 to tune + 2 to confirm, in 2 cells"),
        (["--set", "search.points=5"], "14 = 10 to tune + 4 to confirm, in 2 cells"),
        (["--scale", "smoke", "--set", "factors.a=[1]", "--set", "seeds.confirm=7"], "8 = 1 to tune + 7 to confirm"),
    ],
)
def test_plan_counts_the_trials_of_scale_and_overrides(user, options, trials):
    user.bowl(scales="{smoke: {search.points: 1, seeds.confirm: 1}}")
    said = user.assay("plan", "bowl.yaml", *options)
    assert said.code == 0
    assert trials in in_one_line(said.out)
    assert not user.runs


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--scale", "smok"], "unknown scale: got 'smok'; did you mean 'smoke'?"),
        (["--set", "search.points"], "--set: not an override: got 'search.points', expected key=value"),
        (["--set", "search.points=many"], "--set search.points"),
        (["--set", "searc.points=3"], "did you mean 'search'?"),
    ],
)
def test_wrong_overrides_are_refused_in_one_line(user, options, line):
    user.bowl(scales="{smoke: {search.points: 1}}")
    said = user.assay("plan", "bowl.yaml", *options)
    assert said.code == 2
    assert line in said.err
    assert len(said.lines) == 1


def test_probe_times_every_cell(user):
    user.bowl()
    said = user.assay("plan", "bowl.yaml", "--probe")
    assert said.code == 0
    assert re.search(r"probe: a=1 takes about 0\.\d\d s per trial", said.err)
    assert "(from a probe)" in said.out


def test_probe_that_fails_is_one_line(user):
    user.bowl(trainable="bad.py:train")
    user.write("bad.py", "def train(config):\n    raise ValueError('no such luck')\n")
    said = user.assay("plan", "bowl.yaml", "--probe")
    assert said.code == 2
    assert said.lines[0].startswith("the probe ended as failed")
    assert "no such luck" in said.err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_exceeded_limits_are_refused_before_anything_runs(user, command):
    user.bowl(limits="{trials: 9}")
    said = user.assay(command, "bowl.yaml")
    assert said.code == 2
    assert said.lines == ["limits.trials: the plan needs 10, the limit is 9"]
    assert not user.runs


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "a/b", "..", "Bowl", "a b", ""])
def test_hostile_names_of_sweeps_are_refused(user, name):
    user.bowl(sweep=json.dumps(name))
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 2
    assert len(said.lines) == 1
    assert not user.runs


def test_hostile_levels_stay_inside_the_run_folder(user):
    user.bowl(factors='{a: [1], b: ["../../../../up", "/etc/x", "[red]x[/red]"]}')
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 0
    assert "[red]x[/red]" in said.out
    assert {path.name for path in user.folder.iterdir()} <= {"bowl.py", "bowl.yaml", "runs", "__pycache__"}
    assert len(list((user.run / "tensorboard").glob("a=1,b=*"))) == 3
    assert "up" in user.assay("status", "bowl").out


# --- what there is, and what is made ---------------------------------------------------------------------------------


def test_list_names_sweeps_and_trainables(user):
    said = user.assay("list")
    assert said.code == 0
    assert "quickstart" in said.out
    assert "supervised.classify" in said.out


def test_explain_shows_fields_ranges_and_metrics(user):
    said = user.assay("explain", "supervised.classify")
    assert said.code == 0
    for name in ("optimizer", "label_smoothing", "accuracy/test", "loss/validation", "may differ", "It stacks trials"):
        assert name in said.out


def test_explain_of_an_unknown_trainable_names_the_nearest(user):
    said = user.assay("explain", "supervised.classifi")
    assert said.code == 2
    assert len(said.lines) == 1
    assert "did you mean 'supervised.classify'?" in said.err


def test_explain_of_a_file(user):
    user.bowl()
    said = user.assay("explain", "bowl.py:train")
    assert (said.code, "plain mapping" in said.out, "It does not stack trials" in said.out) == (0, True, True)


def test_new_sweep_runs_at_once_and_is_never_overwritten(user):
    assert user.assay("new", "sweep", "my-question").code == 0
    said = user.assay("run", "my-question.yaml", "--inline", "--set", "search.points=2", "--set", "seeds.confirm=2")
    assert said.code == 0
    assert "noise raises the loss" in said.out
    text = (user.folder / "my-question.yaml").read_text()
    again = user.assay("new", "sweep", "my-question")
    assert (again.code, len(again.lines)) == (2, 1)
    assert "exists already" in again.err
    assert (user.folder / "my-question.yaml").read_text() == text


def test_new_trainable_can_be_explained_and_swept(user):
    assert user.assay("new", "trainable", "my_attack").code == 0
    assert "Step size of gradient descent" in in_one_line(user.assay("explain", "my_attack.py:train").out)
    assert user.assay("new", "trainable", "my_attack").code == 2
    assert user.assay("new", "sweep", "mine", "--trainable", "my_attack.py:train").code == 0
    assert user.assay("check", "mine.yaml").code == 0
    assert {path.name for path in user.folder.iterdir()} >= {"my_attack.py", "mine.yaml"}


@pytest.mark.parametrize("command", ["trainable ../up", "sweep ../up", "sweep Up", "trainable 1st"])
def test_hostile_names_of_new_files_are_refused(user, command):
    said = user.assay("new", *command.split())
    assert (said.code, len(said.lines)) == (2, 1)
    assert not list(user.folder.iterdir())


def test_half_a_scaffold_is_not_left_behind(user):
    user.write("mine.yaml", "sweep: mine\n")
    assert user.assay("new", "sweep", "mine").code == 2
    assert not (user.folder / "mine.py").exists()


def test_schema_is_json(user):
    said = user.assay("schema")
    assert json.loads(said.out)["properties"]["sweep"]

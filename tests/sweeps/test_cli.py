"""What a user sees at the prompt: every command, its exit code, and what it says about mistakes."""

from __future__ import annotations

import json
import re

import pytest
from prompt import TRAINABLE, decisions, started

from analysis import records

COMMANDS = ("check", "plan", "run", "resume", "status", "runs", "report", "rerun", "list", "explain", "schema", "submit")


def words(text: str) -> str:
    """Without the wrapping and the boxes of a table."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


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
    assert "Commands" in said.out + said.err
    assert user.assay("chek").code == 2


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
    assert trials in words(said.out)
    assert not user.runs


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--scale", "smok"], "unknown scale: got 'smok'; did you mean 'smoke'?"),
        (["--set", "search.points"], "--set: not an override: got 'search.points', expected key=value"),
        (["--set", "search.points=many"], "--set search.points"),
        (["--set", "serch.points=3"], "did you mean 'search'?"),
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


# --- a run and what is asked about it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A user who has run the bowl. The tests that take it only look."""
    from prompt import User

    user = User(tmp_path_factory.mktemp("ran"))
    user.bowl()
    said = user.process("run", "bowl.yaml", "--inline")
    assert said.code == 0, said.err
    return user, said


def test_run_prints_plan_answer_and_paths(ran):
    user, said = ran
    assert "10 = 6 to tune + 4 to confirm" in words(said.out)
    assert "Which a is lower?" in said.out
    assert f"report: runs/bowl/{user.run.name}/report/index.html" in said.out
    assert said.err == ""


def test_run_folder_holds_what_it_promises(ran):
    user, _ = ran
    names = {path.name for path in user.run.iterdir()}
    assert {"sweep.lock.yaml", "environment.json", "ledger", "report", "tensorboard", "code"} <= names
    assert {"index.html", "report.md", "answer.csv"} <= {path.name for path in (user.run / "report").iterdir()}
    assert set(started(user.run).values()) == {1}
    assert len(decisions(user.run, "done")) == 10


def test_lock_file_alone_is_the_same_sweep(ran, tmp_path):
    user, _ = ran
    lock = f"runs/bowl/{user.run.name}/sweep.lock.yaml"
    plan = [words(user.assay("plan", name).out) for name in ("bowl.yaml", lock)]
    assert plan[0] == plan[1]


def test_status_and_runs_tell_the_state(ran):
    user, _ = ran
    said = user.assay("status", "bowl")
    assert said.code == 0
    assert "state finished" in words(said.out)
    assert re.search(r"a=1 +3/3 +2/2 +5 done", said.out)
    assert re.search(rf"bowl/{user.run.name} +finished +10/10", user.assay("runs").out)


def test_status_is_that_of_the_folder_too(ran):
    user, _ = ran
    assert user.assay("status", str(user.run)).code == 0
    assert user.assay("status", f"bowl/{user.run.name}", "--runs", "runs").code == 0


@pytest.mark.parametrize("command", ["status", "resume", "report", "rerun"])
def test_unknown_run_names_the_nearest(ran, command):
    user, _ = ran
    said = user.assay(command, "bowll", *(["x"] if command == "rerun" else []))
    assert (said.code, said.lines) == (2, ["bowll: no such run; did you mean bowl?"])


def test_there_may_be_no_runs(user):
    assert user.assay("runs").out == "no runs in runs\n"
    said = user.assay("status", "bowl")
    assert (said.code, len(said.lines)) == (2, 1)


def test_report_may_be_written_again_and_is_the_same(ran):
    user, _ = ran
    page = user.run / "report" / "index.html"
    before = page.read_bytes()
    assert user.assay("report", "bowl").code == 0
    assert page.read_bytes() == before


def test_rerun_is_equal_bit_for_bit(ran):
    user, _ = ran
    for phase in ("tune", "confirm"):
        trial = next(r["trial"] for r in decisions(user.run, "planned") if r["phase"] == phase)
        said = user.process("rerun", "bowl", trial[:8])
        assert said.code == 0, said.err
        assert said.out.count("[as before]") == 3
        assert said.out.splitlines()[-1] == "done"
    assert set(started(user.run).values()) == {1}


def test_rerun_says_what_differs(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline", "--set", "search.points=1", "--set", "seeds.confirm=0")
    trial = decisions(user.run, "planned")[0]["trial"]
    user.write("bowl.py", TRAINABLE.replace("0.001", "0.002"))
    said = user.assay("rerun", "bowl", trial)
    assert said.code == 1
    assert said.out.count("[differs in loss]") == 3


def test_rerun_of_an_unknown_trial_is_one_line(ran):
    user, _ = ran
    trial = decisions(user.run, "planned")[0]["trial"]
    said = user.assay("rerun", "bowl", f"{trial[:-1]}!")
    assert said.code == 2
    assert said.err.strip().endswith(f"did you mean {trial}?")
    assert "trials of" in user.assay("rerun", "bowl", "").err


def test_resume_of_a_finished_run_runs_nothing(ran):
    user, _ = ran
    before = len(decisions(user.run, "started"))
    said = user.assay("resume", "bowl", "--inline")
    assert said.code == 0
    assert "10/10 trials" in said.out
    assert len(decisions(user.run, "started")) == before


# --- trainables that misbehave ---------------------------------------------------------------------------------------

BAD = '''
import math

def raises(config):
    raise ValueError("no such luck")

def says(config):
    return {"loss": "low"}

def shrugs(config):
    return None

def is_silent(config, trial):
    return
    yield

def reports_another(config):
    return {"los": 1.0}

def leaves(config):
    raise SystemExit(3)

def is_wild(config, trial):
    yield {"loss": 1.0}
    yield {"loss": math.nan}
'''


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("raises", "ValueError: no such luck"),
        ("says", "bad.py:says: metric 'loss': got 'low' (str), expected a number"),
        ("shrugs", "bad.py:shrugs: returned NoneType, expected a mapping of metrics or a generator"),
        ("is_silent", "bad.py:is_silent: never reported 'loss'; it reported nothing"),
        ("reports_another", "bad.py:reports_another: never reported 'loss'; it reported los"),
        ("leaves", "SystemExit: 3"),
    ],
)
def test_run_stops_after_five_failures_for_one_reason(user, function, reason):
    user.bowl(trainable=f"bad.py:{function}")
    user.write("bad.py", BAD)
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 1
    assert len(decisions(user.run, "failed")) == 5
    assert said.out.count(reason) == said.err.count(reason) == 1
    assert "sweeps/" not in said.err
    assert "trainables/" not in said.err
    assert "--retry-failed" in said.out + said.err
    assert "state interrupted" in words(user.assay("status", "bowl").out)


def test_mended_trainable_goes_on_as_the_hint_says(user):
    user.bowl(trainable="bad.py:raises")
    user.write("bad.py", BAD)
    said = user.assay("run", "bowl.yaml", "--inline")
    user.write("bad.py", BAD.replace('raise ValueError("no such luck")', 'return {"loss": config["lr"]}'))
    hint = re.search(r"`assay (resume [^`]*)`", said.out + said.err)
    assert hint
    assert user.assay(*hint[1].split(), "--inline").code == 0
    assert len({r["trial"] for r in decisions(user.run, "done")}) == 10


def test_some_failures_among_successes_do_not_stop_a_run(user):
    user.bowl(trainable="some.py:train", search="{sampler: random, points: 12}")
    code = "def train(config):\n    if config['lr'] > 0.15:\n        raise ValueError('too fast')\n"
    user.write("some.py", code + "    return {'loss': config['lr']}\n")
    said = user.assay("run", "bowl.yaml", "--inline")
    failed, done = decisions(user.run, "failed"), decisions(user.run, "done")
    assert said.code == 0
    assert min(len(failed), len(done)) >= 5
    assert said.out.count("too fast") == 1


def test_diverged_trials_are_their_own_state(user):
    user.bowl(trainable="bad.py:is_wild")
    user.write("bad.py", BAD)
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 0
    assert "(6 diverged)" in said.out
    assert {r["error"] for r in decisions(user.run, "diverged")} == {"loss is nan at step 2"}
    trial = decisions(user.run, "diverged")[0]["trial"]
    again = user.assay("rerun", "bowl", trial)
    assert again.code == 0
    assert again.out.count("[as before]") == 2
    assert "diverged" in again.out


def test_damaged_ledger_is_one_line_with_file_and_line(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline", "--set", "search.points=1", "--set", "seeds.confirm=0")
    path = user.run / records.DECISIONS
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "{]", *lines[4:], ""]))
    for command in (["status", "bowl"], ["runs"], ["resume", "bowl", "--inline"], ["report", "bowl"]):
        said = user.assay(*command)
        assert (said.code, len(said.lines)) == (2, 1), command
        assert re.search(r"decisions\.jsonl:4: damaged record", said.err)


# --- what there is, and what is made ---------------------------------------------------------------------------------


def test_list_names_sweeps_and_trainables(user):
    said = user.assay("list")
    assert said.code == 0
    assert "quickstart" in said.out
    assert "supervised.classify" in said.out


def test_explain_shows_fields_ranges_and_metrics(user):
    said = user.assay("explain", "supervised.classify")
    assert said.code == 0
    for name in ("optimizer", "label_smoothing", "accuracy/test", "loss/validation"):
        assert name in said.out


def test_explain_of_an_unknown_trainable_names_the_nearest(user):
    said = user.assay("explain", "supervised.clasify")
    assert said.code == 2
    assert len(said.lines) == 1
    assert "did you mean 'supervised.classify'?" in said.err


def test_explain_of_a_file(user):
    user.bowl()
    said = user.assay("explain", "bowl.py:train")
    assert (said.code, "plain mapping" in said.out) == (0, True)


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
    assert "Step size of gradient descent" in words(user.assay("explain", "my_attack.py:train").out)
    assert user.assay("new", "trainable", "my_attack").code == 2
    assert user.assay("new", "sweep", "mine", "--trainable", "my_attack.py:train").code == 0
    assert user.assay("check", "mine.yaml").code == 0
    assert {path.name for path in user.folder.iterdir()} >= {"my_attack.py", "mine.yaml"}


@pytest.mark.parametrize("command", [["trainable", "../up"], ["sweep", "../up"], ["sweep", "A b"], ["trainable", "1st"]])
def test_hostile_names_of_new_files_are_refused(user, command):
    said = user.assay("new", *command)
    assert (said.code, len(said.lines)) == (2, 1)
    assert not list(user.folder.iterdir())


def test_half_a_scaffold_is_not_left_behind(user):
    user.write("mine.yaml", "sweep: mine\n")
    assert user.assay("new", "sweep", "mine").code == 2
    assert not (user.folder / "mine.py").exists()


def test_schema_is_json(user):
    said = user.assay("schema")
    assert json.loads(said.out)["properties"]["sweep"]

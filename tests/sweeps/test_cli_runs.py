"""What a user sees of a run: what it prints and leaves, what is asked about it later, and trainables that misbehave."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from prompt import TRAINABLE, User, decisions, in_one_line, started

from analysis import records

# --- a run and what is asked about it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A user who has run the bowl. The tests that take it only look."""
    user = User(tmp_path_factory.mktemp("ran"))
    user.bowl()
    said = user.process("run", "bowl.yaml", "--inline")
    assert said.code == 0, said.err
    return user, said


def test_run_prints_plan_answer_and_paths(ran):
    user, said = ran
    assert "10 = 6 to tune + 4 to confirm" in in_one_line(said.out)
    assert "1 CPU; 1 at a time" in in_one_line(said.out)
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
    plan = [in_one_line(user.assay("plan", name).out) for name in ("bowl.yaml", lock)]
    assert plan[0] == plan[1]


def test_status_and_runs_tell_the_state(ran):
    user, _ = ran
    said = user.assay("status", "bowl")
    assert said.code == 0
    assert "state finished" in in_one_line(said.out)
    assert re.search(r"a=1 +3/3 +2/2 +5 done", said.out)
    assert re.search(rf"bowl/{user.run.name} +finished +10/10", user.assay("runs").out)


@pytest.mark.parametrize("command", [["status", "bowl"], ["runs"]])
def test_a_look_imports_nothing_heavy(ran, command):
    user, _ = ran
    program = f"import sys\nfrom sweeps import cli\nsys.argv = {['assay', *command]}\ncli.main()\n"
    program = program.replace("cli.main()", "try:\n    cli.main()\nfinally:\n    print('loaded', *sys.modules)")
    said = subprocess.run([sys.executable, "-c", program], cwd=user.folder, capture_output=True, text=True, check=True)
    loaded = set(said.stdout.splitlines()[-1].split())
    assert "sweeps.folder" in loaded
    assert not loaded & {"torch", "ray", "optuna", "pandas", "numpy", "matplotlib"}


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
    user.reports = False
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

BAD = """
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
"""


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
    user.reports = False
    user.bowl(trainable=f"bad.py:{function}")
    user.write("bad.py", BAD)
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 1
    assert len(decisions(user.run, "failed")) == 5
    assert said.out.count(reason) == said.err.count(reason) == 1
    assert "sweeps/" not in said.err
    assert "trainables/" not in said.err
    assert "--retry-failed" in said.out + said.err
    assert "state interrupted" in in_one_line(user.assay("status", "bowl").out)


def test_mended_trainable_goes_on_as_the_hint_says(user):
    user.reports = False
    user.bowl(trainable="bad.py:raises")
    user.write("bad.py", BAD)
    said = user.assay("run", "bowl.yaml", "--inline")
    user.write("bad.py", BAD.replace('raise ValueError("no such luck")', 'return {"loss": config["lr"]}'))
    hint = re.search(r"`assay (resume [^`]*)`", said.out + said.err)
    assert hint
    assert user.assay(*hint[1].split(), "--inline").code == 0
    assert len({r["trial"] for r in decisions(user.run, "done")}) == 10


def test_some_failures_among_successes_do_not_stop_a_run(user):
    user.reports = False
    user.bowl(trainable="some.py:train", search="{sampler: random, points: 12}")
    code = "def train(config):\n    if config['lr'] > 0.15:\n        raise ValueError('too fast')\n"
    user.write("some.py", code + "    return {'loss': config['lr']}\n")
    said = user.assay("run", "bowl.yaml", "--inline")
    failed, done = decisions(user.run, "failed"), decisions(user.run, "done")
    assert said.code == 0
    assert min(len(failed), len(done)) >= 5
    assert said.out.count("too fast") == 1


def test_diverged_trials_are_their_own_state(user):
    user.reports = False
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

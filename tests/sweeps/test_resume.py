"""A run that was stopped, damaged, edited or retried goes on as it should. Real kills are in test_kills.py."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from prompt import SWEEP, TRAINABLE, decisions, started

from analysis import records
from analysis.frames import load
from analysis.report import summary
from sweeps.ledger import Ledger

# Asks for the end of its own process, as Ctrl-C would, once there are this many attempts; counts what it computes.
STOPS = """
import json, signal
from pathlib import Path

HERE = Path(__file__).parent

def train(config, trial):
    number = len((HERE / "attempts.jsonl").read_text().splitlines()) if (HERE / "attempts.jsonl").exists() else 0
    first = trial.restored["step"] + 1 if trial.restored else 1
    with (HERE / "attempts.jsonl").open("a") as file:
        file.write(json.dumps([trial.id, first]) + "\\n")
    for step in range(first, 7):
        if number == int((HERE / "stop_at.txt").read_text()) and step == 4:
            signal.raise_signal(signal.SIGINT)
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 1 / step}
"""


@pytest.fixture
def user(user):
    user.reports = False
    return user


def answers(run) -> tuple[tuple[str, ...], ...]:
    return summary(load(run)).table


def values(run) -> dict[str, dict[str, float]]:
    return {record["trial"]: record["values"] for record in decisions(run, "done")}


def stopping(user, at: int, **keys: str):
    user.bowl(trainable="stops.py:train", **keys)
    user.write("stops.py", STOPS)
    user.write("stop_at.txt", str(at))
    return user.assay("run", "bowl.yaml", "--inline")


@pytest.mark.parametrize(("at", "sampler"), [(0, "random"), (4, "tpe"), (8, "random")])
def test_stopped_run_goes_on_from_its_checkpoint_and_ends_like_an_undisturbed_one(user, at, sampler):
    search = f"{{sampler: {sampler}, points: 3}}"
    said = stopping(user, at, search=search)
    assert said.code == 130
    assert f"`assay resume runs/bowl/{user.run.name}` goes on" in said.out
    assert "interrupted" in user.assay("status", "bowl").out
    (stopped,) = decisions(user.run, "cancelled")
    assert user.assay("resume", "bowl", "--inline").code == 0
    attempts = [json.loads(line) for line in (user.folder / "attempts.jsonl").read_text().splitlines()]
    assert [trial for trial, _ in attempts].count(stopped["trial"]) == 2
    assert [first for trial, first in attempts if trial == stopped["trial"]] == [1, 5]
    assert Counter(started(user.run).values()) == {1: 9, 2: 1}
    reports = load(user.run).reports
    assert list(reports.groupby("trial").size().unique()) == [6]

    user.write("stop_at.txt", "-1")
    run = user.run
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", "whole").code == 0
    (whole,) = (user.folder / "whole" / "bowl").iterdir()
    assert values(run) == values(whole)
    assert answers(run) == answers(whole)


def test_stop_between_two_trials_loses_nothing(user):
    said = stopping(user, 1)
    assert said.code == 130
    assert len(decisions(user.run, "done")) == 1
    user.assay("resume", "bowl", "--inline")
    assert len(decisions(user.run, "done")) == len(values(user.run)) == 10


# --- edited sweeps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({"seeds": "{tune: 1, confirm: 5}"}, {("a=1", "confirm"): 3, ("a=2", "confirm"): 3}),
        ({"factors": "{a: [1, 2, 3]}"}, {("a=3", "tune"): 3, ("a=3", "confirm"): 2}),
        ({"seeds": "{tune: 2, confirm: 2}"}, {("a=1", "tune"): 3, ("a=2", "tune"): 3}),
        ({"seeds": "{tune: 1, confirm: 1}"}, {}),
        ({"factors": "{a: [2]}"}, {}),
        ({"question": "The same?"}, {}),
    ],
)
def test_edited_sweep_runs_exactly_what_is_missing(user, keys, missing):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    before = started(user.run)
    user.bowl(**keys)
    assert user.assay("run", "bowl.yaml", "--into", "bowl", "--inline").code == 0
    new = started(user.run) - before
    place = {r["trial"]: (r["cell"], r["phase"]) for r in decisions(user.run, "planned")}
    assert Counter(place[trial] for trial in new.elements()) == missing
    assert max(started(user.run).values()) == 1
    assert user.assay("report", "bowl").code == 0


def test_more_points_keep_those_that_there_are(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    before = started(user.run)
    user.bowl(search="{sampler: random, points: 5}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
    new = started(user.run) - before
    phase = {r["trial"]: r["phase"] for r in decisions(user.run, "planned")}
    assert Counter(phase[trial] for trial in new)["tune"] == 4
    assert max(started(user.run).values()) == 1


def test_edited_run_equals_one_that_was_so_from_the_start(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    edited = user.run
    user.bowl(search="{sampler: random, points: 5}", seeds="{tune: 1, confirm: 4}", factors="{a: [1, 2, 3]}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
    user.assay("run", "bowl.yaml", "--inline", "--runs", "fresh")
    (fresh,) = (user.folder / "fresh" / "bowl").iterdir()
    assert values(fresh).items() <= values(edited).items()
    assert answers(edited) == answers(fresh)


def test_replaced_lock_file_is_kept(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    first = (user.run / "sweep.lock.yaml").read_text()
    user.bowl(seeds="{tune: 1, confirm: 3}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
    assert (user.run / "sweep.lock.1.yaml").read_text() == first
    assert "confirm: 3" in (user.run / "sweep.lock.yaml").read_text()


# --- other code ------------------------------------------------------------------------------------------------------


def test_other_code_is_refused_with_a_diff_unless_allowed(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    user.write("bowl.py", TRAINABLE.replace("0.001", "0.002"))
    user.bowl_sweep(seeds="{tune: 1, confirm: 3}")
    for command in (["resume", "bowl"], ["run", "bowl.yaml", "--into", "bowl"]):
        said = user.assay(*command, "--inline")
        assert said.code == 2
        assert "--allow-code-change" in said.lines[0]
        assert any(line.startswith("-") and "0.001" in line for line in said.lines)
        assert any(line.startswith("+") and "0.002" in line for line in said.lines)
    assert len(started(user.run)) == 10
    said = user.assay("run", "bowl.yaml", "--into", "bowl", "--inline", "--allow-code-change")
    assert said.code == 0
    assert len(started(user.run)) == 12
    assert "0.002" in (user.run / "code" / "bowl.py").read_text()


def test_refused_edit_leaves_the_run_as_it_was(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    before = (user.run / "sweep.lock.yaml").read_text()
    user.write("bowl.py", TRAINABLE.replace("0.001", "0.002"))
    user.bowl_sweep(seeds="{tune: 1, confirm: 3}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
    assert (user.run / "sweep.lock.yaml").read_text() == before


# --- failures --------------------------------------------------------------------------------------------------------


def test_failed_trials_run_again_only_when_asked(user):
    code = "from pathlib import Path\n\ndef train(config):\n"
    code += "    if config['lr'] > 0.15 and not (Path(__file__).parent / 'mended').exists():\n"
    code += "        raise ValueError('too fast')\n    return {'loss': config['lr']}\n"
    user.bowl(trainable="some.py:train")
    user.write("some.py", code)
    user.assay("run", "bowl.yaml", "--inline")
    failed = {r["trial"] for r in decisions(user.run, "failed")}
    before = started(user.run)
    assert failed
    user.write("mended", "")
    assert user.assay("resume", "bowl", "--inline").code == 0
    assert started(user.run) == before
    assert user.assay("resume", "bowl", "--inline", "--retry-failed").code == 0
    assert set(started(user.run) - before) >= failed
    assert failed <= set(values(user.run))
    assert max((started(user.run) - before).values()) == 1
    after = started(user.run)
    assert user.assay("resume", "bowl", "--inline").code == 0
    assert started(user.run) == after


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_failures_may_be_retried_in_the_middle_of_a_search(user, sampler):
    """The sampler has heard of the failure, and comes back as it was; then it hears of what came of the point."""
    code = "import signal\nfrom pathlib import Path\n\nHERE = Path(__file__).parent\n\ndef train(config):\n"
    code += "    count = HERE / 'count'\n    count.write_text(count.read_text() + '.')\n"
    code += "    if len(count.read_text()) in (3, 6):\n        raise ValueError('bad luck')\n"
    code += "    if len(count.read_text()) == 14:\n        signal.raise_signal(signal.SIGINT)\n"
    code += "    return {'loss': config['lr']}\n"
    user.bowl(trainable="some.py:train", factors="{a: [1]}", search=f"{{sampler: {sampler}, points: 20}}")
    user.write("some.py", code)
    user.write("count", "")
    assert user.assay("run", "bowl.yaml", "--inline").code == 130
    failed = {r["trial"] for r in decisions(user.run, "failed")}
    assert len(failed) == 2
    assert user.assay("resume", "bowl", "--inline", "--retry-failed").code == 0
    assert len(values(user.run)) == len(decisions(user.run, "done")) == 22
    assert failed <= set(values(user.run))
    (winner,) = {r["points"][0] for r in decisions(user.run, "winner")[-1:]}
    tuned = {r["trial"]: r["point"] for r in decisions(user.run, "planned") if r["phase"] == "tune"}
    assert winner == tuned[min(tuned, key=lambda trial: values(user.run)[trial]["loss"])]
    before = started(user.run)
    user.bowl_sweep(trainable="some.py:train", factors="{a: [1]}", search=f"{{sampler: {sampler}, points: 25}}")
    assert user.assay("run", "bowl.yaml", "--into", "bowl", "--inline").code == 0
    assert len(started(user.run) - before) in (5, 7)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_two_drivers_at_once_are_refused(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    with Ledger(user.run).open():
        said = user.assay("resume", "bowl", "--inline")
        assert (said.code, len(said.lines)) == (2, 1)
        assert "is running this run" in said.err
        assert user.assay("status", "bowl").code == 0
    assert user.assay("resume", "bowl", "--inline").code == 0


def test_torn_last_line_is_run_again(user):
    said = stopping(user, 3)
    assert said.code == 130
    ledger = user.run / records.DECISIONS
    lines = ledger.read_bytes().splitlines(keepends=True)
    last = next(n for n, line in enumerate(lines) if b'"done"' in line)
    ledger.write_bytes(b"".join(lines[:last]) + lines[last][:20])
    assert "torn line" in user.assay("status", "bowl").out
    assert user.assay("resume", "bowl", "--inline").code == 0
    assert len(values(user.run)) == len(decisions(user.run, "done")) == 10


def test_lost_reports_do_not_lose_the_answer(user):
    """The decisions hold the objective of each trial; only its curve is gone."""
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    (user.run / records.COMPACTED).unlink()
    user.bowl(seeds="{tune: 1, confirm: 3}")
    said = user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
    assert said.code == 0
    assert max(started(user.run).values()) == 1


@pytest.mark.parametrize("command", [["report", "bowl"], ["resume", "bowl", "--inline"]])
def test_damaged_reports_are_one_line_that_names_the_file(user, command):
    stopping(user, 3)
    (segment,) = user.run.glob(records.SEGMENTS)
    lines = segment.read_text().splitlines()
    segment.write_text("\n".join([lines[0], "{]", *lines[2:], ""]))
    said = user.assay(*command)
    assert (said.code, len(said.lines)) == (2, 1)
    assert re.search(r"reports-.*\.jsonl:2: damaged record", said.err)


def test_damaged_parquet_is_one_line_that_names_the_file(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    (user.run / records.COMPACTED).write_bytes(b"PAR1 and nothing else")
    trial = next(iter(started(user.run)))
    for command in (["report", "bowl"], ["rerun", "bowl", trial]):
        said = user.assay(*command)
        assert (said.code, len(said.lines)) == (2, 1)
        assert "reports.parquet" in said.err


@pytest.mark.parametrize(("name", "text"), [("sweep.lock.yaml", "sweep: [\n"), ("environment.json", "{")])
def test_damaged_lock_or_environment_is_an_error_that_names_the_file(user, name, text):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    (user.run / name).write_text(text)
    said = user.assay("resume", "bowl", "--inline")
    assert said.code == 2
    assert name in said.err
    assert "Traceback" not in said.err


def test_run_whose_sweep_file_moved_finds_its_code_here(user):
    user.write("study/bowl.py", TRAINABLE)
    user.write("study/bowl.yaml", SWEEP)
    user.assay("run", "study/bowl.yaml", "--inline")
    (user.folder / "study").rename(user.folder / "elsewhere")
    user.write("bowl.py", TRAINABLE)
    assert user.assay("resume", "bowl", "--inline").code == 0
    (user.folder / "bowl.py").unlink()
    said = user.assay("resume", "bowl", "--inline")
    assert (said.code, len(said.lines)) == (2, 1)
    assert "bowl.py" in said.err

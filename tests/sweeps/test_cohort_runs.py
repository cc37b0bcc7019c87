"""Whole runs whose trials are stacked: what a user finds is that of trials that ran one by one."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter

import pytest
from prompt import decisions, started

from analysis.frames import load

STACKED = '''
import json, math, os, signal, time
from dataclasses import dataclass
from pathlib import Path
from trainables.api import PerMember

HERE = Path(__file__).parent

@dataclass(frozen=True)
class Config:
    a: PerMember[int] = 1
    lr: PerMember[float] = 0.1
    width: int = 4

def run(configs, trials):
    """The bowl, with 3 steps where a = 1 and 6 elsewhere. A word in `event` is done once, at step 5."""
    at = [trial.restored["step"] if trial.restored else 0 for trial in trials]
    for trial, step in zip(trials, at):
        say("begun.jsonl", [trial.id, step])
    last = [3 if config.a == 1 else 6 for config in configs]
    while going := [n for n, trial in enumerate(trials) if trial.wanted]:
        time.sleep(float((HERE / "slow").read_text()) if (HERE / "slow").exists() else 0)
        say("stacks.jsonl", len(going))
        reports = {}
        for n in going:
            at[n] += 1
            trials[n].checkpoint(lambda step=at[n]: {"step": step})
            if at[n] == last[n]:
                trials[n].finish()
            noise = trials[n].streams.numpy(f"noise {at[n]}").normal()
            loss = (configs[n].lr - 0.1 * configs[n].a) ** 2 + 0.001 * noise + 1 / at[n]
            reports[n] = {"step": at[n], "loss": misfortune(configs[n], at[n], loss)}
        if max(at) >= 5 and (HERE / "event").exists():
            event = (HERE / "event").read_text()
            (HERE / "event").unlink()
            signal.raise_signal(getattr(signal, event))
        yield reports

def misfortune(config, step, loss):
    file = HERE / "unlucky.json"
    what, lr = json.loads(file.read_text()) if file.exists() else ("", 0)
    if (config.a, config.lr) != (2, lr) or step < 2:
        return loss
    if what == "fail":
        raise ValueError("no such luck")
    return math.nan

def say(name, what):
    with (HERE / name).open("a") as file:
        file.write(json.dumps(what) + "\\n")
'''


@pytest.fixture
def user(user):
    user.reports = False
    user.write("stacked.py", STACKED)
    return user


def bowl(user, cohort: object, **keys: str) -> None:
    user.bowl(trainable="stacked.py:run", resources=f"{{cohort: {cohort}}}", **keys)


def lines(user, name: str) -> list:
    return [json.loads(line) for line in (user.folder / name).read_text().splitlines()]


def found(run):
    """All that a run has found, without what it took."""
    reports = load(run).reports[["trial", "step", "metric", "value"]].to_numpy().tolist()
    return reports, {r["trial"]: r["values"] for r in decisions(run, "done")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a run finds that stacks nothing."""
    from prompt import User

    user = User(tmp_path_factory.mktemp("alone"))
    user.reports = False
    user.write("stacked.py", STACKED)
    bowl(user, "off")
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    assert set(lines(user, "stacks.jsonl")) == {1}
    return user


@pytest.mark.parametrize("cohort", ["auto", 3, 1])
def test_a_run_in_cohorts_finds_what_a_run_without_them_finds(user, alone, cohort):
    bowl(user, cohort)
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    assert max(lines(user, "stacks.jsonl")) == {"auto": 6, 3: 3, 1: 1}[cohort]
    assert found(user.run) == found(alone.run)
    assert set(started(user.run).values()) == {1}
    boards = [sorted(str(f.relative_to(r)) for f in r.glob("tensorboard/*/*")) for r in (user.run, alone.run)]
    assert boards[0] == boards[1]
    assert len(boards[0]) >= 10
    said = [re.sub(r"\d{8}-\d+|[\d.]+ s\b", "", u.assay("status", "bowl").out) for u in (user, alone)]
    assert said[0] == said[1]
    before = started(user.run)
    assert user.assay("resume", "bowl", "--inline").code == 0
    assert started(user.run) == before


def test_progress_counts_trials(user):
    bowl(user, "auto")
    said = user.assay("run", "bowl.yaml", "--inline")
    assert re.search(r"10/10 trials", said.out)


@pytest.mark.parametrize("what", ["fail", "diverge"])
def test_one_member_that_goes_wrong_harms_no_other(user, alone, what):
    tuned = [r for r in decisions(alone.run, "planned") if r["phase"] == "tune" and r["cell"] == "a=2"]
    values = found(alone.run)[1]
    worst = max(tuned, key=lambda r: values[r["trial"]]["loss"])  # so that the winners stay the same
    user.write("unlucky.json", json.dumps([what, worst["params"]["lr"]]))
    bowl(user, "auto")
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    (wrong,) = decisions(user.run, "failed", "diverged")
    assert wrong["trial"] == worst["trial"]
    assert wrong["kind"] == ("failed" if what == "fail" else "diverged")
    assert ("no such luck" if what == "fail" else "loss is nan at step 2") in wrong["error"]
    assert found(user.run)[1] == {trial: v for trial, v in values.items() if trial != wrong["trial"]}


def test_a_member_that_goes_wrong_again_and_again_is_found_with_few_runs(user):
    bowl(user, "auto", nuisance="{lr: {choices: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}}", search="{sampler: grid}")
    user.write("unlucky.json", json.dumps(["fail", 0.6]))
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    assert len(decisions(user.run, "failed")) == 1
    assert len(decisions(user.run, "done")) == 15 + 4


# --- stopped and killed ----------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_the_newest_state_of_every_member(user, alone):
    bowl(user, "auto")
    user.write("event", "SIGINT")
    assert user.assay("run", "bowl.yaml", "--inline").code == 130
    cancelled = {r["trial"] for r in decisions(user.run, "cancelled")}
    done = {r["trial"] for r in decisions(user.run, "done")}
    assert len(cancelled) >= 3
    assert len(done) >= 3
    reached = {t: max(s) for t, s in load(user.run).reports.groupby("trial")["step"] if t in cancelled}
    (user.folder / "begun.jsonl").unlink()
    assert user.assay("resume", "bowl", "--inline").code == 0
    begun = dict(reversed(lines(user, "begun.jsonl")))
    assert {trial: begun[trial] for trial in cancelled} == reached
    assert not done & set(begun)
    assert found(user.run) == found(alone.run)


def test_killed_in_the_middle_of_a_cohort_it_ends_like_an_undisturbed_run(user, alone):
    bowl(user, 4)
    user.write("slow", "0.4")  # so that there are checkpoints
    user.write("event", "SIGKILL")
    assert user.process("run", "bowl.yaml", "--inline").code == -signal.SIGKILL
    done = {r["trial"] for r in decisions(user.run, "done")}
    open_ = set(started(user.run)) - done
    assert done
    assert open_
    assert "broken off" in user.assay("status", "bowl").out
    (user.folder / "slow").unlink()
    (user.folder / "begun.jsonl").unlink()
    assert user.assay("resume", "bowl", "--inline").code == 0
    begun = dict(reversed(lines(user, "begun.jsonl")))
    assert not done & set(begun)
    assert any(begun[trial] > 0 for trial in open_), "none went on from a checkpoint"
    assert Counter(r["trial"] for r in decisions(user.run, "done")) == Counter(begun.keys() | done)
    assert found(user.run) == found(alone.run)


# --- time ------------------------------------------------------------------------------------------------------------


def test_seconds_are_shares_of_what_a_cohort_took(user):
    bowl(user, "auto")
    user.write("slow", "0.03")
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    spent = sum(r["seconds"] for r in decisions(user.run, "done"))
    slept = 0.03 * len(lines(user, "stacks.jsonl"))
    (wall,) = (r["seconds"] for r in decisions(user.run, "run") if "seconds" in r)
    assert slept <= spent <= wall
    by_trial = {r["trial"]: r["seconds"] for r in decisions(user.run, "done")}
    assert max(by_trial.values()) < 0.6 * spent


def test_cancelled_trials_have_their_shares_too(user):
    bowl(user, "auto")
    user.write("slow", "0.05")
    user.write("event", "SIGINT")
    assert user.assay("run", "bowl.yaml", "--inline").code == 130
    spent = sum(r["seconds"] for r in decisions(user.run, "done", "cancelled"))
    (wall,) = (r["seconds"] for r in decisions(user.run, "run") if "seconds" in r)
    assert spent <= wall


def test_the_plan_reads_them_and_the_probe_agrees(user):
    bowl(user, "auto", factors="{a: [2, 3]}")
    user.write("slow", "0.1")
    probed = user.assay("plan", "bowl.yaml", "--probe")
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    past = user.assay("plan", "bowl.yaml")
    assert "(from past runs)" in past.out
    found = [
        [float(s) for s in re.findall(r"^ *[23] .*?([\d.]+) *$", said.out, re.MULTILINE)] for said in (probed, past)
    ]
    assert [len(seconds) for seconds in found] == [2, 2]
    assert all(0.5 < probe / run < 2 for probe, run in zip(*found, strict=True)), found
    wait = 6 * 0.1  # of a trial that runs alone
    assert all(seconds < 0.6 * wait for seconds in found[1])


# --- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cohort", "off_by", "verdict"),
    [
        ("auto", 1e-5, "as before"),
        ("auto", 1e-2, "differs in loss"),
        ("off", 1e-9, "differs in loss"),
        ("off", 0.0, "as before"),
    ],
)
def test_rerun_allows_for_rounding_where_trials_are_stacked(user, cohort, off_by, verdict):
    bowl(user, cohort)
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    trial = decisions(user.run, "done")[0]["trial"]
    user.write("stacked.py", STACKED.replace("+ 1 / at[n]\n", f"+ 1 / at[n]\n            loss *= 1 + {off_by}\n"))
    said = user.assay("rerun", "bowl", trial)
    assert said.code == (0 if verdict == "as before" else 1)
    assert said.out.count(f"[{verdict}]") == 3
    words = "relative difference of 0.001" if cohort == "auto" else "bit for bit"
    assert words in said.out.splitlines()[0]


# --- a shipped trainable ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["--inline", pytest.param("--concurrent=2", marks=pytest.mark.cluster)])
def test_classifiers_in_cohorts_are_those_that_are_trained_alone(user, backend):
    tables = []
    for cohort in ("off", "auto", "3"):
        user.bowl_sweep(
            trainable="supervised.classify",
            fixed="{data: {name: two_moons}, epochs: 3}",
            factors="{optimizer.momentum: [0.0, 0.9]}",
            nuisance="{optimizer.lr: {low: 0.01, high: 0.3, log: true}}",
            objective="{minimize: loss/validation}",
            resources=f"{{cohort: {cohort}}}",
        )
        ran = user.assay if backend == "--inline" else user.process
        assert ran("run", "bowl.yaml", backend, "--runs", cohort).code == 0
        (target,) = (user.folder / cohort / "bowl").iterdir()
        assert set(started(target).values()) == {1}
        reports = load(target).reports
        tables.append(reports[reports["metric"] != "examples_per_second"].reset_index(drop=True))
    for table in tables[1:]:
        assert table[["trial", "step", "metric"]].equals(tables[0][["trial", "step", "metric"]])
        assert table["value"].to_numpy() == pytest.approx(tables[0]["value"].to_numpy(), rel=1e-3, abs=1e-5)

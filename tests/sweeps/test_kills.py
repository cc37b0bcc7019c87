"""Runs whose driver is really killed or stopped, in both phases, end like one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from prompt import User, decisions

from analysis import records
from analysis.frames import load
from analysis.report import summary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SLOW = '''
import time

def train(config, trial):
    """Without torch, and in pieces of 40 ms."""
    first = trial.restored["step"] + 1 if trial.restored else 1
    for step in range(first, 6):
        time.sleep(0.04)
        trial.checkpoint(lambda step=step: {"step": step})
        noise = trial.streams.numpy(f"noise {step}").normal()
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 0.01 * noise / step}
'''
TUNE, CONFIRM = 2 * 6, 2 * 4  # trials
MOMENTS = (2, 7, TUNE + 2)  # finished trials at which the driver is killed
SAMPLERS = {
    "random": "{sampler: random, points: 6}",
    "qmc": "{sampler: qmc, points: 6}",
    "grid": "{sampler: grid}",
    "tpe": "{sampler: tpe, points: 6, concurrent: 1}",
}
BACKENDS = {"inline": ["--inline"], "ray": ["--concurrent", "2"]}
LONGEST_STOP_S = 25.0


def sweep(user: User, sampler: str) -> None:
    nuisance = "{lr: {low: 0.01, high: 1.0, log: true, levels: 6}}"
    user.bowl(trainable="slow.py:train", nuisance=nuisance, search=SAMPLERS[sampler], seeds="{confirm: 4}")
    user.write("slow.py", SLOW)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Sampler -> what a run finds that nobody disturbs: the values of each trial, and the table of answers."""
    found = {}

    def of(sampler: str):
        if sampler not in found:
            user = User(tmp_path_factory.mktemp(sampler))
            sweep(user, sampler)
            assert user.process("run", "bowl.yaml", "--inline").code == 0
            found[sampler] = outcome(user)
        return found[sampler]

    return of


def outcome(user: User):
    run = user.run
    values = {record["trial"]: record["values"] for record in decisions(run, "done")}
    assert len(values) == len(decisions(run, "done")) == TUNE + CONFIRM
    return values, summary(load(run)).table, (run / "report" / "answer.csv").read_text()


def finished(user: User) -> int:
    return len(decisions(user.run, "done")) if user.runs else 0


def wait_for(user: User, done: int, driver: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while finished(user) < done:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def descendants(process: int) -> set[int]:
    found = set()
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found |= {child} | descendants(child)
    return found


def wait_for_the_end_of(processes: set[int]) -> None:
    """Ray's processes notice by themselves that their driver is gone."""
    until = time.monotonic() + 90
    while left := {p for p in processes if Path(f"/proc/{p}/cmdline").exists() and command_of(p)}:
        assert time.monotonic() < until, {p: command_of(p) for p in left}
        time.sleep(0.2)


def command_of(process: int) -> bytes:
    """Empty if it is gone, also if only its exit code is left."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def check_nothing_ran_again(run: Path) -> None:
    done: set[str] = set()
    for record in decisions(run, "started", "done"):
        assert record["trial"] not in done, f"{record['kind']} after done"
        if record["kind"] == "done":
            done.add(record["trial"])


@pytest.mark.parametrize(
    ("backend", "sampler"), [*(("inline", sampler) for sampler in SAMPLERS), ("ray", "random"), ("ray", "tpe")]
)
def test_killed_at_three_moments_it_ends_as_if_undisturbed(user, undisturbed, backend, sampler):
    sweep(user, sampler)
    command = ["run", "bowl.yaml"]
    for moment in MOMENTS:
        driver = user.start(*command, *BACKENDS[backend])
        wait_for(user, moment, driver)
        family = descendants(driver.pid)
        driver.kill()
        driver.communicate()
        wait_for_the_end_of(family)
        assert moment <= finished(user) < TUNE + CONFIRM
        assert "broken off" in user.assay("status", "bowl").out
        command = ["resume", "bowl"]
    said = user.process(*command, *BACKENDS[backend])
    assert said.code == 0, said.err
    assert "finished" in user.assay("status", "bowl").out
    check_nothing_ran_again(user.run)
    assert outcome(user) == undisturbed(sampler)


@pytest.mark.parametrize("moment", [3, TUNE + 2], ids=["tune", "confirm"])
@pytest.mark.parametrize(
    ("backend", "number"),
    [("inline", signal.SIGINT), ("inline", signal.SIGTERM), ("ray", signal.SIGINT), ("ray", signal.SIGTERM)],
)
def test_stopped_by_a_signal_it_leaves_by_itself_and_loses_nothing(user, undisturbed, backend, number, moment):
    sweep(user, "random")
    driver = user.start("run", "bowl.yaml", *BACKENDS[backend], start_new_session=True)
    wait_for(user, moment, driver)
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(driver.pid, number)  # as Ctrl-C in a terminal, which reaches every process of the group
    else:
        driver.send_signal(number)
    out, err = driver.communicate(timeout=60)
    assert time.monotonic() - began < LONGEST_STOP_S
    assert driver.returncode == 130, err
    assert f"`assay resume runs/bowl/{user.run.name}` goes on" in out
    assert "Traceback" not in out + err
    assert "SIGTERM received" not in err, "Ray's handler was first, which leaves 3 s"
    assert "interrupted" in user.assay("status", "bowl").out
    assert {r["trial"] for r in decisions(user.run, "started")} == {
        r["trial"] for r in decisions(user.run, "done", "cancelled")
    }
    before = reported(user.run)
    said = user.process("resume", "bowl", *BACKENDS[backend])
    assert said.code == 0, said.err
    check_nothing_ran_again(user.run)
    assert before <= reported(user.run)
    assert outcome(user) == undisturbed("random")


def reported(run: Path) -> set[tuple[str, int]]:
    reports = load(run).reports
    return set(zip(reports["trial"], reports["step"], strict=True))


def test_second_signal_leaves_at_once_and_the_run_still_resumes(user, undisturbed):
    sweep(user, "random")
    user.write("slow.py", SLOW.replace("time.sleep(0.04)", "time.sleep(0.3)"))
    driver = user.start("run", "bowl.yaml", "--inline")
    wait_for(user, 1, driver)
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGTERM)
    driver.communicate(timeout=10)
    assert driver.returncode != 0
    user.write("slow.py", SLOW)
    assert user.process("resume", "bowl", "--inline", "--allow-code-change").code == 0
    check_nothing_ran_again(user.run)
    assert outcome(user) == undisturbed("random")


def test_torn_segment_of_a_killed_process_is_dropped_and_counted(user, undisturbed):
    sweep(user, "random")
    driver = user.start("run", "bowl.yaml", "--inline")
    wait_for(user, 3, driver)
    driver.kill()
    driver.communicate()
    (segment,) = user.run.glob(records.SEGMENTS)
    segment.write_bytes(segment.read_bytes()[:-7])
    assert user.process("resume", "bowl", "--inline").code == 0
    assert load(user.run).torn == 1
    assert outcome(user) == undisturbed("random")

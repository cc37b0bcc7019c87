"""Memory, disks, clocks and processes fail for real; the run goes on, or says in one line why it does not."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from prompt import decisions, in_one_line
from sweeps_for_tests import Life, sweep

from cluster.work import Ending, Report
from sweeps.driver import Driver, reason_of
from trainables.api import Cause, Outcome

ONCE = """
import os, resource, time
from pathlib import Path

HERE = Path(__file__).parent

def train(config, trial):
    for step in (1, 2, 3):
        mark = HERE / "mark"
        if step == 2 and not mark.exists():
            mark.touch()
            misfortune()
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + step}

def misfortune():
    """
HUNGRY = """limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 2**26, limits[1]))
    try:
        bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
"""


@pytest.fixture(autouse=True)
def _quickly_again(monkeypatch):
    monkeypatch.setattr("cluster.failures._FIRST_WAIT_S", 0.01)


@pytest.fixture
def user(user):
    user.reports = False
    return user


def bowl(user, misfortune: str, **keys: str) -> None:
    user.bowl(trainable="once.py:train", **keys)
    user.write("once.py", ONCE + misfortune)


def values(user) -> dict[str, dict[str, float]]:
    return {record["trial"]: record["values"] for record in decisions(user.run, "done")}


def undisturbed(user) -> dict[str, dict[str, float]]:
    """What the same run finds without a misfortune; the mark is there already."""
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", "whole").code == 0
    (whole,) = (user.folder / "whole" / "bowl").iterdir()
    return {record["trial"]: record["values"] for record in decisions(whole, "done")}


def test_out_of_memory_is_tried_again_and_is_no_failure(user):
    """The trial asks for a gigabyte that its process may not have."""
    bowl(user, HUNGRY)
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    (lost,) = decisions(user.run, "lost")
    assert lost["cause"] == "out of memory"
    assert "MemoryError" in lost["error"]
    assert not decisions(user.run, "failed")
    assert values(user) == undisturbed(user)
    assert "1 lost: out of memory" in in_one_line(user.assay("status", "bowl").out)


def test_who_never_has_enough_memory_is_given_up_with_the_trace(user):
    bowl(user, "(HERE / 'mark').unlink()\n    raise MemoryError('so little')\n", resources="{retries: 1}")
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 1
    assert "the first 5 trials failed for the same reason" in said.err
    assert said.err.count("MemoryError: so little") == 1
    assert all("MemoryError: so little" in record["error"] for record in decisions(user.run, "failed"))
    assert {record["attempt"] for record in decisions(user.run, "failed")} == {2}


def test_what_differs_in_numbers_only_is_one_reason(user):
    bowl(user, "pass\n")
    user.write("once.py", "def train(config):\n    raise ValueError(f'lr is {config[\"lr\"]}')\n")
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 1
    assert said.err.count("ValueError: lr is") == 1
    assert len(decisions(user.run, "failed")) == 5


def test_failures_after_an_earlier_life_that_had_success_do_not_stop_the_run(user):
    bowl(user, "(HERE / 'mark').write_text('')\n")
    user.assay("run", "bowl.yaml", "--inline")
    user.bowl_sweep(trainable="once.py:train", search="{sampler: random, points: 9}")
    user.write("once.py", "def train(config):\n    raise ValueError('no')\n")
    said = user.assay("run", "bowl.yaml", "--into", "bowl", "--inline", "--allow-code-change")
    assert said.code == 0
    assert len(decisions(user.run, "failed")) == 2 * 6


# --- processes that die ----------------------------------------------------------------------------------------------


def test_processes_that_die_before_the_first_report_end_a_sweep_that_has_nothing_else(tmp_path):
    search = Life(sweep(search={"sampler": "random", "points": 6})).search
    driver = Driver(search.sweep, tmp_path, search, MagicMock(), tmp_path)
    dead = Ending(Outcome.LOST, "Ray says: process 4711 died", cause=Cause.DIED)
    given = [driver.next() for _ in range(6)]
    driver.ended(given[0].trial, Ending(Outcome.LOST, "no machine", cause=Cause.NODE))
    for order in given[1:5]:
        driver.ended(order.trial, dead)
        assert not driver.stopping
    driver.ended(given[5].trial, dead)
    assert driver.stopping
    assert driver.gave_up.endswith("process 4711 died")


def test_processes_of_several_trials_and_those_that_had_reports_are_no_sign(tmp_path):
    search = Life(sweep(search={"sampler": "random", "points": 6})).search
    driver = Driver(search.sweep, tmp_path, search, MagicMock(), tmp_path)
    for number in range(10):
        order = driver.next()
        if number % 2:
            driver.reported(order.trial, [Report(1, {"loss": 1.0})])
        driver.ended(order.trial, Ending(Outcome.LOST, "gone", cause=Cause.DIED, suspects=1 if number % 2 else 8))
    assert not driver.stopping


def test_reasons():
    assert reason_of(Ending(Outcome.FAILED, "x\nValueError: 1e-3 at 0x7f3a, step 12")) == reason_of(
        Ending(Outcome.FAILED, "y\nValueError: 0.5 at 0x11, step 3")
    )
    assert reason_of(Ending(Outcome.FAILED, "ValueError: a")) != reason_of(Ending(Outcome.FAILED, "ValueError: b"))
    assert reason_of(Ending(Outcome.LOST, "pid 1", cause=Cause.DIED)) == "process died"


# --- disks and clocks ------------------------------------------------------------------------------------------------


@contextmanager
def disk(path: Path):
    """A disk of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_full_disk_is_one_line_and_nothing_is_lost_when_there_is_room_again(user):
    bowl(user, "(HERE / 'runs' / 'filler').write_bytes(bytes(os.statvfs(HERE / 'runs').f_bavail * 4096))\n")
    with disk(user.folder / "runs"):
        said = user.process("run", "bowl.yaml", "--inline")  # whose death gives the run free
        assert said.code == 2
        assert "No space left on device" in said.lines[-1]
        assert "`assay resume` goes on" in said.lines[-1]
        assert "Traceback" not in said.out + said.err
        (user.folder / "runs" / "filler").unlink()
        assert user.assay("resume", "bowl", "--inline").code == 0
        assert values(user) == undisturbed(user)


def test_read_only_disk_is_one_line(user):
    bowl(user, "pass\n")
    with disk(user.folder / "runs"):
        assert user.assay("run", "bowl.yaml", "--inline").code == 0
        user.bowl_sweep(trainable="once.py:train", seeds="{confirm: 4}")
        before = len(values(user))
        subprocess.run(["mount", "-o", "remount,ro", str(user.folder / "runs")], check=True)
        said = user.assay("run", "bowl.yaml", "--into", "bowl", "--inline")
        assert (said.code, "Read-only file system" in said.lines[-1]) == (2, True)
        assert "Traceback" not in said.out + said.err
        assert len(values(user)) == before
        subprocess.run(["mount", "-o", "remount,rw", str(user.folder / "runs")], check=True)
        assert user.assay("run", "bowl.yaml", "--into", "bowl", "--inline").code == 0
        assert len(values(user)) == before + 4


def test_a_clock_that_jumps_back_breaks_neither_order_nor_durations(user, monkeypatch):
    bowl(user, "pass\n")
    real, calls = time.time, iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0 * next(calls))
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    assert all(0 <= record["seconds"] < 60 for record in decisions(user.run, "done", "run") if "seconds" in record)
    assert user.assay("resume", "bowl", "--inline").code == 0
    monkeypatch.undo()
    assert values(user) == undisturbed(user)
    assert "finished" in user.assay("status", "bowl").out

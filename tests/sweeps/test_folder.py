"""Run folders are found by path or by name, and tell their state."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sweeps import folder, show
from sweeps.ledger import Ledger, RunError


def made(runs, sweep="toy"):
    run = folder.create(runs, sweep)
    (run / "sweep.lock.yaml").write_text(f"sweep: {sweep}\nobjective: {{maximize: score}}\n")
    return run


def test_two_runs_in_one_second_differ(tmp_path):
    assert len({folder.create(tmp_path, "toy") for _ in range(3)}) == 3


def test_runs_are_found_by_path_name_or_sweep(tmp_path):
    first, second = made(tmp_path), made(tmp_path)
    assert folder.find(str(first), tmp_path) == first
    assert folder.find(f"toy/{first.name}", tmp_path) == first
    assert folder.find("toy", tmp_path) == second
    assert folder.all_runs(tmp_path) == [first, second]


def test_unknown_run_names_the_nearest(tmp_path):
    made(tmp_path, "quickstart")
    with pytest.raises(RunError, match=r"qickstart: no such run; did you mean quickstart\?"):
        folder.find("qickstart", tmp_path)


def test_status_counts_each_trial_once_by_its_last_state(tmp_path):
    run = made(tmp_path)
    with Ledger(run).open() as ledger:
        ledger.record_cell("c", {}, "s")
        ledger.record("run", event="started", cells=["c"])
        for trial, phase in (("a", "tune"), ("b", "tune"), ("d", "confirm"), ("e", "confirm")):
            ledger.record("planned", trial=trial, cell="c", phase=phase, point="p", seed=0, config={})
        for attempt in (1, 2):
            ledger.record("started", trial="a", attempt=attempt)
            ledger.record("lost" if attempt == 1 else "done", trial="a", attempt=attempt, seconds=1, error="")
        ledger.record("started", trial="b", attempt=1)
        ledger.record("told", cell="c", number=0, state="COMPLETE", values=[0.5])
        ledger.record("told", cell="c", number=1, state="COMPLETE", values=[0.7])
        ledger.record("winner", cell="c", points=["p"])
        assert folder.status(run, maximize=folder.maximizes(run)).state == "running"
    found = folder.status(run, maximize=True)
    assert found.state == "broken off"
    assert found.cells["c"].tune == {"done": 1, "running": 1}
    assert found.cells["c"].confirm == {"planned": 2}
    assert (found.cells["c"].best, found.cells["c"].winners) == (0.7, ["p"])
    with Ledger(run).open() as ledger:
        ledger.record("run", event="finished", seconds=12.5, cells=["c"])
    assert (folder.status(run).state, folder.status(run).seconds) == ("finished", 12.5)


def test_status_counts_why_attempts_were_lost_and_failed(tmp_path):
    with Ledger(tmp_path).open() as ledger:
        for attempt, (kind, cause) in enumerate([("lost", "node lost"), ("lost", "node lost"), ("failed", "error")]):
            ledger.record(kind, trial="a", attempt=attempt, seconds=1, error="", cause=cause)
        ledger.record("done", trial="b", attempt=1, seconds=1, error="")
    found = folder.status(tmp_path)
    assert found.causes == {"lost: node lost": 2, "failed: error": 1}
    console = Console(width=100, file=io.StringIO())
    console.print(show.status(found))
    assert "1 failed: error, 2 lost: node lost" in console.file.getvalue()

"""Runs with a name: the same command again goes on with the same run."""

from __future__ import annotations

import os

import pytest
from prompt import decisions, in_one_line, started

from analysis.records import DECISIONS
from sweeps import folder


@pytest.fixture
def named(user):
    user.reports = False
    user.bowl()
    return lambda *words: user.assay("run", "bowl.yaml", "--inline", "--name", "first", *words)


def test_the_same_command_again_says_that_it_is_finished(user, named):
    assert named().code == 0
    (run,) = (user.folder / "runs" / "bowl").iterdir()
    assert run.name == "first"
    before = (run / DECISIONS).read_bytes()
    said = named()
    assert (said.code, said.err) == (0, "")
    assert "it is finished; nothing runs again" in said.out
    assert (run / DECISIONS).read_bytes() == before


def test_the_same_command_again_goes_on_after_a_stop(user, named):
    assert named().code == 0
    run = user.folder / "runs" / "bowl" / "first"
    path = run / DECISIONS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    assert named().code == 0
    assert folder.status(run).state == "finished"
    assert set(started(run).values()) <= {1, 2}
    done = [record["trial"] for record in decisions(run, "done")]
    assert len(done) == len(set(done)) == 10


def test_a_folder_that_was_cut_off_before_its_lock_file_is_used(user, named):
    (user.folder / "runs" / "bowl" / "first").mkdir(parents=True)
    assert named().code == 0


def test_another_version_of_the_sweep_is_refused(user, named):
    assert named().code == 0
    said = named("--set", "search.points=4")
    assert said.code == 2
    assert "first was made from another version of this sweep; --into" in in_one_line(said.err)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", ".hidden", "a b", "x" * 61, "end.", "C:", "a\nb"])
def test_a_name_stays_one_folder(user, named, name):
    said = user.assay("run", "bowl.yaml", "--inline", "--name", name)
    assert said.code == 2
    assert "--name: got" in said.err
    assert not (user.folder / "runs").exists()


def test_name_and_into_exclude_each_other(named):
    assert named("--into", "bowl").code == 2


def test_the_latest_run_of_a_sweep_is_found_among_names_and_times(tmp_path):
    for name, when in (("zebra", 1_700_000_000), ("20250101-000000", 0), ("alpha", 1_800_000_000)):
        (tmp_path / "s" / name).mkdir(parents=True)
        lock = tmp_path / "s" / name / "sweep.lock.yaml"
        lock.touch()
        os.utime(lock, (when, when))
    assert [run.name for run in folder.all_runs(tmp_path)] == ["zebra", "20250101-000000", "alpha"]
    assert folder.find("s", tmp_path).name == "alpha"

"""Nodes that do not see what the driver writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machines import machines

from cluster import shared
from cluster.placement import Ask


@pytest.fixture
def mark(tmp_path):
    (tmp_path / "mark").write_text("token")
    return tmp_path / "mark"


def test_a_node_that_sees_the_folder_leaves_nothing(mark):
    assert shared.look(str(mark), "token") == ""
    assert [path.name for path in mark.parent.iterdir()] == ["mark"]


def test_what_a_node_can_have_instead(mark):
    assert shared.look(str(mark), "other") == "another folder of this name"
    assert shared.look(str(mark.parent / "nowhere" / "mark"), "token") == "it is not there"
    assert shared.look(str(mark / "mark"), "token") == "Not a directory"


@pytest.mark.cluster
def test_nodes_without_the_folder_are_named_before_anything_starts(tmp_path, monkeypatch):
    """``/proc/self/cwd`` is another folder in every process, as a local disk is on every machine."""
    monkeypatch.chdir("/")  # where the nodes are
    monkeypatch.setattr(shared, "_PATIENCE_S", 240)  # of a test, on a machine that may be busy
    (tmp_path / "runs").mkdir()
    with machines({"num_cpus": 1}, {"num_cpus": 2}):
        shared.check(tmp_path / "runs", Ask())
        os.chdir(tmp_path)
        with pytest.raises(shared.FolderError) as error:
            shared.check(Path("/proc/self/cwd/runs"), Ask())
        assert "2 of 2 nodes cannot use it" in str(error.value)
        assert "it is not there" in str(error.value)
        assert "\n" not in str(error.value)
        with pytest.raises(shared.FolderError, match="1 of 1 nodes"):
            shared.check(Path("/proc/self/cwd/runs"), Ask(cpus=2))  # only one node would run a trial
    assert list((tmp_path / "runs").iterdir()) == []

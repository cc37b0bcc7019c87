from __future__ import annotations

import subprocess
import sys

import pytest
from fakes import HERE, FakeSource, order

from cluster import inline
from trainables.api import Outcome


def test_one_trial_after_the_other(files):
    source = FakeSource([order("a", "count", {"steps": 3}), order("b", "plain", {"x": 2})])
    inline.run(source, files)
    assert source.events == [("started", "a"), ("ended", "a"), ("started", "b"), ("ended", "b")]
    assert source.steps("a") == files.steps("a") == [1, 2, 3]
    assert source.outcomes("a") == source.outcomes("b") == [Outcome.DONE]


def test_a_failure_is_the_end_of_its_trial_only(files):
    source = FakeSource([order("a", "fail"), order("b", "blow_up"), order("c", "plain", {"x": 1})])
    inline.run(source, files)
    assert [source.outcomes(t) for t in "abc"] == [[Outcome.FAILED], [Outcome.DIVERGED], [Outcome.DONE]]
    assert "no such luck" in source.endings["a"][0].error


def test_pruning(files):
    source = FakeSource([order("a", "count", {"steps": 9})], judge=lambda _, report: report.step < 4)
    inline.run(source, files)
    assert source.steps("a") == [1, 2, 3, 4]
    assert source.outcomes("a") == [Outcome.PRUNED]


def test_a_stop_ends_the_running_trial_and_it_goes_on_later(files, tmp_path):
    def orders(attempt):
        return [order("a", "count", {"steps": 6}, folder=str(tmp_path / "a"), attempt=attempt)]

    first = FakeSource([*orders(1), order("b", "fail")], stop_when=lambda s: len(s.steps("a")) >= 3)
    inline.run(first, files)
    assert first.outcomes("a") == [Outcome.CANCELLED]
    assert "b" not in first.endings
    second = FakeSource(orders(2))
    inline.run(second, files)
    assert (files.steps("a", 1), files.steps("a", 2)) == ([1, 2, 3], [4, 5, 6])


def test_an_interrupt_that_nobody_handles_ends_the_run(files):
    source = FakeSource([order("a", "interrupt"), order("b", "fail")])
    with pytest.raises(KeyboardInterrupt):
        inline.run(source, files)
    assert source.outcomes("a") == [Outcome.CANCELLED]


def test_an_error_of_the_source_is_raised_and_the_attempt_closed(files):
    def judge(trial, report):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        inline.run(FakeSource([order("a", "count", {"steps": 3})], judge=judge), files)
    assert [record["outcome"] for record in files.records("a", kind="close")] == ["cancelled"]


def test_without_ray(tmp_path):
    code = f"""
import sys; sys.modules["ray"] = None; sys.path.append({HERE!r})
from pathlib import Path
from fakes import FakeSource, OpenFiles, order
from cluster import inline
source = FakeSource([order("a", "plain", {{"x": 2}})])
inline.run(source, OpenFiles(Path({str(tmp_path)!r})))
print(source.outcomes("a")[0], "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["done", "False"]

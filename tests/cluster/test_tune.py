"""Trials on a real Ray with two CPUs."""

from __future__ import annotations

import os
import signal
import time

import pytest
from fakes import FakeSource, order

from cluster import inline, tune
from cluster.placement import Ask, PlacementError
from trainables.api import Outcome

pytestmark = pytest.mark.usefixtures("ray_session")


def run(source, files, **more):
    tune.run(source, files, resources=Ask(**more))


def test_many_trials_with_every_ending(files, tmp_path):
    """One Tune run: done, failed in each way, diverged, lost for good. Each ends once, and the process is reused."""
    orders = [order(f"where{n}", "where") for n in range(6)]
    odd = ["fail", "leave", "interrupt", "blow_up", "speak", "shrug"]
    orders += [order(name, name) for name in odd]
    orders += [order("count", "count", {"steps": 5}), order("again", "where")]
    source = FakeSource(orders)
    before = dict(os.environ), signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGINT)
    run(source, files)
    assert {t: [str(o) for o in source.outcomes(t)] for t in source.endings} == {
        **{f"where{n}": ["done"] for n in range(6)},
        **{name: ["diverged" if name == "blow_up" else "failed"] for name in odd},
        "count": ["done"],
        "again": ["done"],
    }
    assert source.most_running == 2
    assert (
        len({r.metrics["pid"] for t, reports in source.reports.items() if "pid" in reports[0].metrics for r in reports})
        <= 2
    )
    assert source.steps("count") == files.steps("count") == [1, 2, 3, 4, 5]
    assert [record["outcome"] for record in files.records("blow_up", kind="close")] == ["diverged"]
    for trial in source.endings:
        assert source.events.index(("started", trial)) < source.events.index(("ended", trial))
    for name, words in {"fail": "no such luck", "leave": "SystemExit", "interrupt": "KeyboardInterrupt"}.items():
        assert words in source.endings[name][0].error
    for name, words in {"speak": "'low' (str)", "shrug": "never reported 'loss'", "blow_up": "loss is nan"}.items():
        assert words in source.endings[name][0].error
    assert (dict(os.environ), signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGINT)) == before


def test_the_same_metrics_as_inline(files):
    def source():
        return FakeSource([order(f"t{n}", "count", {"steps": 4}, seed=n) for n in range(3)])

    here, there = source(), source()
    inline.run(here, files)
    run(there, files)
    assert here.reports == there.reports


def test_a_killed_process_is_lost_and_its_trial_goes_on(files, tmp_path):
    source = FakeSource([order("die", "die", folder=str(tmp_path / "die")), order("always", "always_die")], retries=1)
    run(source, files)
    assert source.outcomes("die") == [Outcome.LOST, Outcome.DONE]
    assert source.outcomes("always") == [Outcome.LOST, Outcome.LOST]
    assert "the process of the attempt died" in source.endings["die"][0].error
    assert (files.steps("die", 1), files.steps("die", 2)) == ([1, 2, 3], [4, 5, 6])
    assert source.steps("die") == [1, 2, 3, 4, 5, 6]


def test_pruning_judges_each_report(files, tmp_path):
    def judge(trial, report):
        return trial != "bad" or report.step < 3

    orders = [order(t, "count", {"steps": 20}, folder=str(tmp_path / t)) for t in ("bad", "good")]
    source = FakeSource(orders, judge=judge)
    run(source, files)
    assert source.outcomes("bad") == [Outcome.PRUNED]
    assert source.outcomes("good") == [Outcome.DONE]
    assert source.steps("bad") == files.steps("bad") == [1, 2, 3]
    assert [record["outcome"] for record in files.records("bad", kind="close")] == ["pruned"]
    assert not (tmp_path / "bad").exists()


def test_a_stop_loses_nothing_and_does_not_wait_for_what_hangs(files, tmp_path):
    def orders(attempt):
        return [order("a", "count", {"steps": 30, "sleep": 0.05}, folder=str(tmp_path / "a"), attempt=attempt)]

    asked = []

    def stop_when(source):
        if not asked and len(source.steps("a")) >= 5 and ("started", "hang") in source.events:
            asked.append(time.monotonic())
        return bool(asked)

    waiting = [order(f"waiting{n}", "fail") for n in range(3)]
    first = FakeSource([*orders(1), order("hang", "hang"), *waiting], stop_when=stop_when)
    run(first, files)
    assert time.monotonic() - asked[0] < 8
    assert first.running == 0
    assert first.outcomes("a") == first.outcomes("hang") == [Outcome.CANCELLED]
    assert all(outcome == Outcome.CANCELLED for t in first.endings for outcome in first.outcomes(t))
    second = FakeSource(orders(2))
    run(second, files)
    assert second.outcomes("a") == [Outcome.DONE]
    assert files.steps("a", 1) + files.steps("a", 2) == list(range(1, 31))
    assert first.steps("a") == files.steps("a", 1)


def test_an_error_of_the_source_stops_everything_and_is_raised(files):
    def judge(trial, report):
        raise OSError("disk full")

    source = FakeSource([order("a", "count", {"steps": 30, "sleep": 0.1}), order("b", "hang")], judge=judge)
    with pytest.raises(OSError, match="disk full"):
        run(source, files)


def test_what_does_not_fit_is_refused(files):
    with pytest.raises(PlacementError, match="64 CPUs"):
        run(FakeSource([order("a", "where")]), files, cpus=64)


def test_nothing_to_do(files):
    run(FakeSource([]), files)

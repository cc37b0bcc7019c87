"""Cohorts on a real Ray with two CPUs."""

from __future__ import annotations

from collections import Counter

import pytest
from fakes import FakeSource, order

from cluster import inline, tune
from cluster.placement import Ask, Sizes
from trainables.api import Outcome

pytestmark = pytest.mark.usefixtures("ray_session")


def orders(number: int, config: dict | None = None, **special: dict):
    """Orders of one shape; those that are named have more in their config."""
    return [
        order(f"t{n}", "stack", {"steps": 4, **(config or {}), **special.get(f"t{n}", {})}, shape="s", seed=n)
        for n in range(number)
    ]


def run(source, files, sizes: Sizes):
    tune.run(source, files, resources=Ask(), sizes=sizes)


def metrics(source):
    return {trial: [(r.step, r.metrics["loss"]) for r in reports] for trial, reports in source.reports.items()}


@pytest.mark.parametrize("size", [3, pytest.param(None, marks=pytest.mark.cluster)])
def test_the_same_metrics_as_alone(files, tmp_path, size):
    special = {"t3": {"diverge": 2}, "t5": {"fail": 3}}
    alone, source = FakeSource(orders(12, **special)), FakeSource(orders(12, **special))
    inline.run(alone, files)
    run(source, files, Sizes(size, tmp_path / "sizes.json"))
    healthy = source.given.keys() - special
    assert {t: metrics(source)[t] for t in healthy} == {t: metrics(alone)[t] for t in healthy}
    for trial in source.given:
        expected = {"t3": Outcome.DIVERGED, "t5": Outcome.FAILED}.get(trial, Outcome.DONE)
        assert source.outcomes(trial) == [expected]
    assert Counter(trial for event, trial in source.events if event == "started") == dict.fromkeys(source.given, 1)
    assert "no such luck" in source.endings["t5"][0].error


def order_with_log(given, log):
    return order(given.trial, "stack", {**given.config, "log": str(log)}, shape="s", seed=given.seed)


@pytest.mark.cluster
def test_a_dead_process_loses_its_trials_none_for_good_and_none_twice(files, tmp_path):
    """At its third step one member kills its process; by then there is a checkpoint of every other one."""
    waits = {"steps": 5, "step_s": 0.6}
    given = [
        order(
            f"t{n}",
            "stack",
            {**waits, **({"die": 4} if n == 1 else {})},
            shape="s",
            seed=n,
            folder=str(tmp_path / f"t{n}"),
        )
        for n in range(8)
    ]
    source = FakeSource(given)
    run(source, files, Sizes(4))
    outcomes = {trial: source.outcomes(trial) for trial in source.given}
    assert {tuple(o) for o in outcomes.values()} == {(Outcome.DONE,), (Outcome.LOST, Outcome.DONE)}
    lost = {trial for trial, o in outcomes.items() if len(o) > 1}
    assert "t1" in lost
    assert len(lost) == 4, "its cohort, and no other"
    for trial in lost:
        assert files.steps(trial, 2)[0] > 1, "from its checkpoint"
        assert sorted({*files.steps(trial, 1), *files.steps(trial, 2)}) == [1, 2, 3, 4, 5]
        assert "the process of the attempt died" in source.endings[trial][0].error
    assert all(files.steps(trial) == [1, 2, 3, 4, 5] for trial in set(outcomes) - lost)


def test_who_is_pruned_leaves_and_others_take_the_places(files, tmp_path):
    log = tmp_path / "log"
    source = FakeSource(
        [order_with_log(o, log) for o in orders(12, {"steps": 6})],
        judge=lambda trial, report: int(trial[1:]) % 2 == 0 or report.step < 2,
    )
    tune.run(source, files, resources=Ask(), max_concurrent=1, sizes=Sizes(4))
    for trial in source.given:
        odd = int(trial[1:]) % 2 == 1
        assert source.outcomes(trial) == [Outcome.PRUNED if odd else Outcome.DONE]
        assert source.steps(trial) == files.steps(trial) == list(range(1, 3 if odd else 7))
    stacks = list(map(int, log.read_text().split()))
    assert sum(stacks) == 6 * 6 + 6 * 2, "nothing was computed in vain"
    assert max(stacks) == 4


@pytest.mark.cluster
def test_a_stop_keeps_the_newest_state_of_every_member(files, tmp_path):
    def given(attempt, names):
        config = {"steps": 40, "step_s": 0.05}
        folders = {t: str(tmp_path / t) for t in names}
        return [order(t, "stack", config, shape="s", folder=f, attempt=attempt) for t, f in folders.items()]

    names = [f"t{n}" for n in range(6)]
    first = FakeSource(given(1, names), stop_when=lambda s: any(len(s.steps(t)) >= 5 for t in s.given))
    run(first, files, Sizes(3))
    assert all(first.outcomes(trial) == [Outcome.CANCELLED] for trial in first.given)
    assert len(first.given) >= 5
    second = FakeSource(given(2, first.given))
    run(second, files, Sizes(6))
    assert all(second.outcomes(trial) == [Outcome.DONE] for trial in first.given)
    assert all(files.steps(t, 1) + files.steps(t, 2) == list(range(1, 41)) for t in first.given)

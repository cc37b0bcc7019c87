"""Nodes that join while a run goes on, with and without its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FakeSource, order
from machines import machines

from cluster import tune
from cluster.failures import UNSEEN, cause_of
from cluster.newcomers import Newcomers
from cluster.placement import Ask
from trainables.api import Cause, Outcome


@dataclass
class Cluster:
    """Nodes by the letter that their id begins with. What each answers is set by the test; None: nothing yet."""

    answers: dict[str, str | None] = field(default_factory=dict)
    names: str = "a"
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def newcomers(self, folder: Path | None = Path("/runs/r")) -> Newcomers:
        return Newcomers(folder, self.said.append, self.nodes, self.ask, lambda: self.seconds)

    def nodes(self) -> dict[str, Any]:
        return {n: {"NodeID": n * 8, "NodeManagerHostname": "host", "Resources": {n: 1.0}} for n in self.names}

    def ask(self, _: Path, node: dict[str, Any]) -> Any:
        (name,) = node["Resources"]
        self.asked.append(name)
        return SimpleNamespace(answer=lambda: self.answers.get(name))

    def look(self, newcomers: Newcomers) -> str:
        return "".join(name for has in newcomers.look() for name in has)


def test_a_node_counts_when_it_has_answered():
    cluster = Cluster()
    newcomers = cluster.newcomers()
    assert cluster.look(newcomers) == "a"
    cluster.names = "abc"
    assert cluster.look(newcomers) == "a"
    cluster.answers = {"b": "", "c": "it is not there"}
    assert [cluster.look(newcomers) for _ in range(3)] == ["ab"] * 3
    assert sorted(cluster.asked) == ["b", "c"]
    assert cluster.said == ["host cccccc gets no trials: it cannot use /runs/r: it is not there"]
    assert newcomers.where == {"ray.io/node-id": "!in(c)"}


def test_a_node_without_the_folder_is_asked_again_and_named_once():
    cluster = Cluster()
    newcomers = cluster.newcomers()
    cluster.names, cluster.answers = "abc", {"b": "it is not there", "c": "Permission denied"}
    for cluster.seconds in range(0, 130, 10):
        cluster.look(newcomers)
    assert sorted(cluster.asked) == ["b"] * 3 + ["c"] * 3
    assert newcomers.where == {"ray.io/node-id": "!in(b, c)"}
    cluster.answers["b"], cluster.seconds = "", 200
    assert cluster.look(newcomers) == "ab"
    assert newcomers.where == {"ray.io/node-id": "!in(c)"}
    assert len(cluster.said) == 2


def test_a_barred_node_that_has_left_is_forgotten():
    cluster = Cluster(names="ab", answers={"c": "it is not there"})
    newcomers = cluster.newcomers()
    cluster.names = "abc"
    cluster.look(newcomers)
    cluster.names = "a"
    assert cluster.look(newcomers) == "a"
    assert newcomers.where == {}


def test_where_no_folder_matters_nobody_is_asked():
    cluster = Cluster()
    newcomers = cluster.newcomers(None)
    cluster.names = "ab"
    assert cluster.look(newcomers) == "ab"
    assert cluster.asked == []


def test_a_trial_that_came_to_such_a_node_too_early_is_not_to_blame():
    assert cause_of(f"RunError: host {UNSEEN} /runs/r") == Cause.NODE


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize("workers", [0, 1])
def test_a_node_that_joins_without_the_folder_gets_no_trials(files, tmp_path, monkeypatch, workers):
    """``/proc/self/cwd`` is another folder for nodes that are started elsewhere. One joins there, then one here."""
    runs, end, said = tmp_path / "runs", tmp_path / "end", []
    runs.mkdir()
    monkeypatch.chdir(tmp_path)
    with machines({"num_cpus": 1}) as cluster:
        joined = {}

        def join(name: str, where: Path) -> None:
            os.chdir(where)
            joined[name] = cluster.add(num_cpus=1)
            os.chdir(tmp_path)

        def happen(source: FakeSource) -> bool:
            if "blind" not in joined and len(source.steps("t0")) >= 3:
                join("blind", Path("/"))
            elif "sighted" not in joined and said:
                join("sighted", tmp_path)
            elif len(source.steps("t1")) >= 3:
                end.touch()
            return False

        orders = [order(f"t{n}", "linger", {"end": str(end)}, workers=workers) for n in range(4)]
        source = FakeSource(orders, stop_when=happen)
        ask = Ask(workers=workers)
        tune.run(source, files, resources=ask, say=said.append, folder=Path("/proc/self/cwd/runs"))
    assert {t: source.outcomes(t) for t in source.given} == {f"t{n}": [Outcome.DONE] for n in range(4)}
    nodes = {report.metrics["node"] for reports in source.reports.values() for report in reports}
    assert len(nodes) == 2
    assert float(int(joined["blind"].node_id[:8], 16)) not in nodes
    assert "gets no trials: it cannot use /proc/self/cwd/runs: it is not there" in said[0]
    assert said[1:] == ["1 node joined: room for 2 at a time, 1 before"]
    assert list(runs.iterdir()) == []

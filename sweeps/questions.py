"""What the search knows of its trials, and the questions of its studies that they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from optuna.trial import TrialState

from analysis.records import Record
from cluster.work import Report
from sweeps.ledger import OF_A_STUDY
from sweeps.planner import Planned
from sweeps.spec import Sweep
from sweeps.study import CellStudy, Told, excess
from trainables.api import Outcome


@dataclass
class Life:
    """What is known of a trial so far."""

    planned: Planned
    attempts: int = 0
    earlier: bool = False  # some of them were in an earlier life of the run, whose reports are only on disk
    outcome: Outcome | None = None  # once it is final
    values: Mapping[str, float] = field(default_factory=dict)  # what `observe` found in its reports
    reports: dict[int, Report] = field(default_factory=dict)  # by step, until it is final


@dataclass
class Question:
    """A point that a study asked for, open until all its trials are final."""

    cell: str
    number: int
    trials: list[str]
    judged: set[int] = field(default_factory=set)  # steps


def answer(sweep: Sweep, lives: Sequence[Life]) -> tuple[Told, dict[str, float]]:
    """What a study is told of a point whose trials are final, and by how much the point breaks each constraint."""
    if any(life.outcome in (Outcome.FAILED, Outcome.DIVERGED) for life in lives):
        return Told(TrialState.FAIL), {}
    if any(life.outcome is Outcome.PRUNED for life in lives):
        return Told(TrialState.PRUNED), {}
    means = {name: fmean(life.values[name] for life in lives) for name in lives[0].values}
    objectives = [means[objective.key] for objective in sweep.objectives]
    bounds = {n: b for n, b in sweep.constraints.items() if n not in sweep.nuisance}
    broken = {name: excess(means[name], bound) for name, bound in bounds.items()}
    return Told(TrialState.COMPLETE, objectives, all(e <= 0 for e in broken.values())), broken


def of_current_studies(records: Iterable[Record], studies: Mapping[str, CellStudy]) -> list[Record]:
    """Leave out what was asked, judged and won by studies of another space, sampler or seed than today's."""
    records = list(records)
    last = {r["cell"]: n for n, r in enumerate(records) if r["kind"] == "cell"}
    of_today = {c for c, n in last.items() if c in studies and records[n].get("search") == studies[c].signature}
    return [
        record
        for n, record in enumerate(records)
        if record["kind"] not in OF_A_STUDY or (record["cell"] in of_today and n > last[record["cell"]])
    ]

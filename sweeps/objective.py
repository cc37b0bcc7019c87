"""What the search reads out of the reports of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from analysis.records import Record
from cluster.work import Report
from sweeps.lease import RunError
from sweeps.spec import Objective, Sweep


def observe(sweep: Sweep, reports: Sequence[Report]) -> dict[str, float]:
    """The value of each objective by its key, and the last value of each metric that a constraint bounds."""
    values = {objective.key: objective_value(objective, reports) for objective in sweep.objectives}
    return values | {name: series(name, reports)[-1] for name in _bounded(sweep)}


def recorded(sweep: Sweep, done: Record, history: Callable[[str], Sequence[Report]]) -> Mapping[str, float]:
    """The same of a trial that is done: as its end is recorded or, of an edited sweep, as its reports say.

    Raises RunError if the ledger does not have them.
    """
    found = {name: float(value) for name, value in done.get("values", {}).items()}
    if {objective.key for objective in sweep.objectives} | {*_bounded(sweep)} <= set(found):
        return found
    reports = history(done["trial"])
    if missing := sorted(name for name in watched(sweep) if not any(name in report.metrics for report in reports)):
        raise RunError(f"trial {done['trial']} is done, but the ledger has no report of {', '.join(missing)}")
    return observe(sweep, reports)


def watched(sweep: Sweep) -> tuple[str, ...]:
    """The metrics that every trial has to report, as finite numbers: those of the objectives and constraints."""
    return (*(objective.metric for objective in sweep.objectives), *_bounded(sweep))


def _bounded(sweep: Sweep) -> list[str]:
    return [name for name in sweep.constraints if name not in sweep.nuisance]


def series(metric: str, reports: Sequence[Report]) -> list[float]:
    return [float(report.metrics[metric]) for report in reports if metric in report.metrics]


def objective_value(objective: Objective, reports: Sequence[Report]) -> float:
    """Last, best, or mean over the last k reports that hold the metric."""
    values = series(objective.metric, reports)
    if objective.at == "best":
        return max(values) if objective.goal == "maximize" else min(values)
    if isinstance(objective.at, dict):
        return fmean(values[-objective.at["mean_of_last"] :])
    return values[-1]

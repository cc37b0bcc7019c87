"""What a sweep will do, before it does it: cells, trials, cohorts, and an estimate of the time they take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis import records
from sweeps import space
from sweeps.folder import all_runs
from sweeps.space import Cell
from sweeps.spec import Choice, Limits, Parameter, Sweep
from sweeps.study import budget


@dataclass(frozen=True)
class CellPlan:
    """One cell's share of the sweep. ``winners`` is 1, or for several objectives the size of the front, unknown."""

    cell: Cell
    parameters: Mapping[str, Parameter]
    points: int
    tune: int  # trials
    confirm: int  # trials, per point that is confirmed
    seconds: float | None = None  # per trial


@dataclass(frozen=True)
class Plan:
    sweep: Sweep
    cells: Sequence[CellPlan]
    shapes: int  # groups of trials whose tensors have equal shapes
    stacks: bool  # whether those of one group are trained together
    concurrent: int  # processes at a time
    estimate_from: str = ""  # "past runs", "a probe", or nothing
    code: str = ""  # what runs, and where it comes from

    @property
    def tune(self) -> int:
        return sum(cell.tune for cell in self.cells)

    @property
    def confirm(self) -> int:
        return sum(cell.confirm for cell in self.cells)

    @property
    def trial_s(self) -> float | None:
        """Seconds of all trials one after the other; None while any cell is unknown."""
        known = [cell.seconds * (cell.tune + cell.confirm) for cell in self.cells if cell.seconds is not None]
        return sum(known) if len(known) == len(self.cells) else None

    @property
    def wall_s(self) -> float | None:
        at_a_time = max(1, min(self.concurrent, self.tune + self.confirm))
        return None if self.trial_s is None else self.trial_s / at_a_time

    @property
    def gpu_hours(self) -> float | None:
        resources = self.sweep.resources
        per_trial = resources.gpus * max(1, resources.workers)
        return None if self.trial_s is None else self.trial_s * per_trial / 3600

    def exceeded(self) -> list[str]:
        """One line for each limit that the plan goes beyond."""
        limits: Limits = self.sweep.limits
        wall_hours = None if self.wall_s is None else self.wall_s / 3600
        amounts = {"hours": wall_hours, "gpu_hours": self.gpu_hours, "trials": self.tune + self.confirm}
        bounds = {name: getattr(limits, name) for name in amounts}
        return [
            f"limits.{name}: the plan needs {amount:.4g}, the limit is {bounds[name]:g}"
            for name, amount in amounts.items()
            if amount is not None and bounds[name] is not None and amount > bounds[name]
        ]


def make(
    sweep: Sweep,
    per_member: set[tuple[str, ...]],
    *,
    seconds: Mapping[str, float] | None = None,
    estimate_from: str = "",
    concurrent: int | None = None,
    stacks: bool = False,
    code: str = "",
) -> Plan:
    """``per_member``: config paths that may differ in a cohort. ``seconds``: of a trial, by cell."""
    found = space.cells(sweep)
    known = seconds or {}
    plans = [_cell_plan(sweep, found, cell, known.get(cell.id)) for cell in found]
    shapes = sum(_shapes(plan, per_member) for plan in _first_of_each_shape(plans, per_member))
    at_a_time = concurrent or sweep.resources.concurrent or fitting(sweep)
    return Plan(sweep, plans, shapes, stacks, at_a_time, estimate_from if seconds else "", code)


def _cell_plan(sweep: Sweep, found: Sequence[Cell], cell: Cell, seconds: float | None) -> CellPlan:
    points = budget(sweep, found, cell)
    tune, confirm = points * sweep.seeds.tune, sweep.seeds.confirm
    return CellPlan(cell, space.parameters(sweep, cell), points, tune, confirm, seconds)


def fitting(sweep: Sweep) -> int:
    """How many trials this machine runs at a time."""
    processes = max(1, sweep.resources.workers)
    return max(1, int((os.cpu_count() or 1) / (sweep.resources.cpus * processes)))


def _first_of_each_shape(plans: Sequence[CellPlan], per_member: set[tuple[str, ...]]) -> list[CellPlan]:
    def shape(plan: CellPlan) -> str:
        return space.digest({k: v for k, v in plan.cell.values.items() if tuple(k.split(".")) not in per_member})

    return list({shape(plan): plan for plan in reversed(plans)}.values())


def _shapes(plan: CellPlan, per_member: set[tuple[str, ...]]) -> int:
    """How many shapes the points of a cell have, at most."""
    count = 1
    for name, parameter in plan.parameters.items():
        if tuple(name.split(".")) not in per_member:
            count *= len(parameter.choices) if isinstance(parameter, Choice) else plan.points
    return min(count, plan.points)


def past_seconds(sweep: Sweep, runs: Path) -> dict[str, float]:
    """Cell -> mean seconds of its finished trials, from the latest run of this sweep that has some."""
    for run in reversed([run for run in all_runs(runs) if run.parent.name == sweep.sweep]):
        try:
            decisions = records.read_decisions(run).records
        except records.LedgerError:
            continue
        if any(record.get("simulated") for record in decisions):
            continue
        if seconds := _mean_seconds(decisions):
            return seconds
    return {}


def _mean_seconds(decisions: Sequence[records.Record]) -> dict[str, float]:
    cell_of: dict[str, str] = {r["trial"]: r["cell"] for r in decisions if r["kind"] == "planned"}
    found: dict[str, list[float]] = {}
    for record in decisions:
        if record["kind"] == "done" and record["trial"] in cell_of:
            found.setdefault(cell_of[record["trial"]], []).append(record["seconds"])
    return {cell: fmean(times) for cell, times in found.items()}


def middle(parameters: Mapping[str, Parameter]) -> space.Point:
    """A point in the middle of a space, for the probe."""
    return space.suggest(_Middle(), parameters)


class _Middle:
    """Suggests the middle of each range, and the first of each list."""

    def suggest_float(
        self,
        name: str,  # noqa: ARG002 - as in Optuna
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        if step is not None:
            return low + step * ((high - low) / step // 2)
        return (low * high) ** 0.5 if log else (low + high) / 2

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:  # noqa: ARG002
        middle = (low * high) ** 0.5 if log else (low + high) / 2
        return low + step * int((middle - low) // step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ARG002
        return choices[0]

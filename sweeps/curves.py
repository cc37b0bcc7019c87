"""What simulated trials report: learning curves made up from a seed, or those of a real run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cluster.world import Curve, World
from sweeps import space
from sweeps.ledger import RunError
from sweeps.spec import Bound, Choice, Parameter, Sweep
from sweeps.tensorboard import metrics as named_metrics
from trainables.api import Cause, Ending, Metrics, Order, Outcome

LastStep = Callable[[Mapping[str, Any]], int | None]


def place(parameter: Parameter, value: Any) -> float:
    """Where a value lies in its range or list, from 0 to 1."""
    if isinstance(parameter, Choice):
        names = [space.label(choice) for choice in parameter.choices]
        return names.index(space.label(value)) / max(1, len(names) - 1) if space.label(value) in names else 0.5
    low, high, value = (math.log(x) if parameter.log else x for x in (parameter.low, parameter.high, value))
    return (value - low) / (high - low) if high > low else 0.5


class MadeUp:
    """Power laws with noise, which end the lower, the nearer a point is to the best one of its cell.

    Each nuisance parameter has its best value, and each cell its level, both from a hash, so that a search has
    something to find.
    """

    def __init__(self, sweep: Sweep, world: World, last_step: LastStep) -> None:
        self._sweep, self._world, self._last_step = sweep, world, last_step
        self._metrics = named_metrics(sweep)
        self._goals = {objective.metric: objective.goal for objective in sweep.objectives}
        self._chance = cache(self._chance_of)

    def __call__(self, order: Order) -> Curve:
        stream = np.random.Generator(np.random.PCG64(_number(f"{self._world.seed} {order.trial}")))
        steps = self._steps(self._last_step(order.config) or self._world.steps)
        fate = stream.random()
        seconds = self._world.trial_s * math.exp(self._world.spread * stream.normal())
        values = self._values(self._end_of(order), np.array(steps), stream)
        reports: list[tuple[int, Metrics]] = [(s, {m: values[m][n] for m in values}) for n, s in enumerate(steps)]
        if fate >= self._world.raises + self._world.diverges:
            return Curve(reports, seconds)
        length = 1 + int(stream.integers(len(reports)))
        return self._cut(reports[:length], seconds * length / len(reports), raises=fate < self._world.raises)

    def _steps(self, last: int) -> list[int]:
        count = min(self._world.reports, last)
        return [round(last * (n + 1) / count) for n in range(count)]

    def _cut(self, reports: list[tuple[int, Metrics]], seconds: float, *, raises: bool) -> Curve:
        if raises:
            return Curve(reports, seconds, Ending(Outcome.FAILED, "simulated: the trainable raised", cause=Cause.ERROR))
        step, last = reports[-1]
        metric = next(iter(self._goals))
        wild = {**last, metric: math.nan}
        ending = Ending(Outcome.DIVERGED, f"{metric} is nan at step {step}")
        return Curve([*reports[:-1], (step, wild)], seconds, ending)

    def _end_of(self, order: Order) -> tuple[float, float]:
        """The loss after endless training, and the mean place of the point; 0.1 is the best of all."""
        cell, point = order.labels["cell"], order.labels["hparams"]
        places = {n: place(p, point[n]) for n, p in self._sweep.nuisance.items() if n in point}
        bests = {name: 0.2 + 0.5 * self._chance(name) + 0.1 * self._chance(f"{cell} {name}") for name in places}
        level = 0.1 + 0.2 * self._chance(cell)
        off = sum((places[name] - best) ** 2 for name, best in bests.items())
        return level + off / max(1, len(places)), float(np.mean([*places.values()])) if places else 0.5

    def _values(self, end: tuple[float, float], steps: Any, stream: np.random.Generator) -> dict[str, list[float]]:
        loss, mean = end
        noise = self._world.noise * (stream.normal() + stream.normal(size=(len(self._metrics), len(steps))))
        fall = loss + (1 + 9 * steps / steps[-1]) ** -stream.uniform(0.7, 1.3)
        found = {}
        for name, own in zip(self._metrics, noise, strict=True):
            if bound := self._sweep.constraints.get(name):
                found[name] = (_near(bound, mean) * (1 + own)).tolist()
            else:
                found[name] = (fall + own if self._falls(name) else 1 - fall - own).tolist()
        return found

    def _falls(self, metric: str) -> bool:
        return (
            self._goals.get(metric, "minimize" if "loss" in metric or "error" in metric else "maximize") == "minimize"
        )

    def _chance_of(self, name: str) -> float:
        return _number(f"{self._world.seed} {name}") / 2**64


def _near(bound: Bound, mean: float) -> float:
    """A value that most points keep within the bound."""
    if isinstance(bound.at_most, int | float):
        return bound.at_most * (0.6 + 0.6 * mean)
    return bound.at_least * (1.4 - 0.6 * mean) if isinstance(bound.at_least, int | float) else mean


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Recorded:
    """The curves of a run that has finished trials: of the same trial, or else of the nearest point of the cell.

    A trial of a cell that the run lacks gets that of the nearest point of any.
    """

    def __init__(self, sweep: Sweep, run: Path) -> None:
        from analysis.frames import load

        found = load(run)
        if found.simulated:
            raise RunError(f"{run}: its curves are simulated; expected a run that trained something")
        done = found.trials.loc[found.trials["outcome"] == "done"]
        reports = found.reports.loc[found.reports["trial"].isin(done["trial"])]
        self._sweep = sweep
        self._curves = dict(_curves(reports, dict(zip(done["trial"], done["seconds"], strict=True))))
        self._known = [row for row in done.to_dict("records") if row["trial"] in self._curves]
        if not self._known:
            raise RunError(f"{run}: no trial with reports is done there, so it has no curves to play again")
        self._nearest = cache(self._nearest_to)

    def __call__(self, order: Order) -> Curve:
        point = order.labels["hparams"]
        chosen = tuple((name, point[name]) for name in self._sweep.nuisance if name in point)
        return self._curves.get(order.trial) or self._curves[self._nearest(order.labels["cell"], chosen, order.seed)]

    def _nearest_to(self, cell: str, point: tuple[tuple[str, Any], ...], seed: int) -> str:
        def distance(row: Mapping[str, Any]) -> tuple[bool, float, bool]:
            pairs = [(self._sweep.nuisance[n], v, row["params"][n]) for n, v in point if n in row["params"]]
            off = sum((place(p, value) - place(p, other)) ** 2 for p, value, other in pairs)
            return row["cell"] != cell, off + len(point) - len(pairs), row["seed"] != seed

        return min(self._known, key=distance)["trial"]


def _curves(reports: Any, seconds: Mapping[str, float]) -> Any:
    for trial, rows in reports.groupby("trial", observed=True, sort=False):
        steps: dict[int, dict[str, float]] = {}
        for step, metric, value in zip(rows["step"].tolist(), rows["metric"], rows["value"].tolist(), strict=True):
            steps.setdefault(step, {})[metric] = value
        yield trial, Curve(sorted(steps.items()), max(1e-6, seconds[trial]))

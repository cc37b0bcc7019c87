"""Makes trials out of points: their config, their seed, and the id that is the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps import space
from sweeps.space import Point
from sweeps.spec import Sweep
from sweeps.study import CellStudy


@dataclass(frozen=True)
class Planned:
    """A trial: one cell, point and seed."""

    trial: str
    cell: str
    phase: str  # tune or confirm
    point: Point
    seed: int
    config: Mapping[str, Any]
    earlier: tuple[tuple[Mapping[str, Any], int, str], ...] = ()  # config, until which step, trial that has the state

    @property
    def point_id(self) -> str:
        return space.point_id(self.point)


class Planner:
    """``resolve``: nested config -> the same with every default filled in."""

    def __init__(self, sweep: Sweep, resolve: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._sweep, self._resolve = sweep, resolve

    def planned(self, study: CellStudy, phase: str, number: int, seed: int) -> Planned:
        """The trial of a point and a seed. Its id covers the configs that it goes through before its own."""
        config = self._config(study, study.asked[number])
        stages: list[tuple[Mapping[str, Any], int, str]] = []
        for point, until in study.earlier.get(number, ()):
            trial = self._trial_id(self._config(study, point), stages, seed)
            stages.append((self._config(study, point), until, trial))
        trial = self._trial_id(config, stages, seed)
        return Planned(trial, study.cell.id, phase, study.asked[number], seed, config, tuple(stages))

    def _config(self, study: CellStudy, point: Point) -> Mapping[str, Any]:
        return self._resolve(space.config(self._sweep, study.cell, point))

    def _trial_id(self, config: Mapping[str, Any], stages: Sequence[tuple[Any, int, str]], seed: int) -> str:
        whole = {"earlier": [[c, until] for c, until, _ in stages], "config": config} if stages else config
        return space.trial_id(self._sweep.trainable, whole, seed)

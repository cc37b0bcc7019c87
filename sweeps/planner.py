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
    shape: str = ""  # the same for trials that can be stacked
    earlier: tuple[tuple[Mapping[str, Any], int, str], ...] = ()  # config, until which step, trial that has the state

    @property
    def point_id(self) -> str:
        return space.point_id(self.point)


@dataclass(frozen=True)
class Configs:
    """What the search has to know of the configs of a trainable.

    ``resolve``: nested config -> the same with every default filled in.
    ``shape``: config -> what trials that can be stacked have in common; empty for one that runs alone.
    ``last_step``: config -> the step of a full trial, if known.
    ``held``: nuisance parameters that change the shape, and so keep their value for a few points in a row.
    """

    resolve: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    shape: Callable[[Mapping[str, Any]], str] = lambda _: ""
    last_step: Callable[[Mapping[str, Any]], int | None] = lambda _: None
    held: frozenset[str] = frozenset()


class Planner:
    def __init__(self, sweep: Sweep, configs: Configs) -> None:
        self._sweep, self._configs = sweep, configs

    def planned(self, study: CellStudy, phase: str, number: int, seed: int) -> Planned:
        """The trial of a point and a seed. Its id covers the configs that it goes through before its own."""
        config = self._config(study, study.asked[number])
        stages: list[tuple[Mapping[str, Any], int, str]] = []
        for point, until in study.earlier.get(number, ()):
            trial = self._trial_id(self._config(study, point), stages, seed)
            stages.append((self._config(study, point), until, trial))
        trial = self._trial_id(config, stages, seed)
        shape = self._configs.shape(config) or trial
        return Planned(trial, study.cell.id, phase, study.asked[number], seed, config, shape, tuple(stages))

    def _config(self, study: CellStudy, point: Point) -> Mapping[str, Any]:
        return self._configs.resolve(space.config(self._sweep, study.cell, point))

    def _trial_id(self, config: Mapping[str, Any], stages: Sequence[tuple[Any, int, str]], seed: int) -> str:
        whole = {"earlier": [[c, until] for c, until, _ in stages], "config": config} if stages else config
        return space.trial_id(self._sweep.trainable, whole, seed)

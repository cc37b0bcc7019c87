"""Population-based training, as a rule about points.

Source: Jaderberg et al., 2017, arXiv:1711.09846. A point that is among the worst of its cell at a step stops, and a
new point takes its place: that of one of the best at the same step, perturbed, going on from its state. Differs: the
rule is asynchronous and compares with everything that has reached the step before, so that it needs no full population
running at once; and the new point is a trial of its own whose earlier stages are part of its identity. So every trial
can be run again from nothing, and the winner's whole schedule is confirmed on fresh seeds.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping

from sweeps.space import Point, digest
from sweeps.spec import Choice, Parameter, Scalar, Scheduler

_RESAMPLE = 0.25  # chance of a fresh value instead of a perturbed one
_FACTORS = (0.8, 1.2)


class Population:
    """The scores of one cell's points at each interval."""

    def __init__(self, scheduler: Scheduler, goal: str, seed: int) -> None:
        self._scheduler, self._sign, self._seed = scheduler, 1 if goal == "minimize" else -1, seed
        self._losses: dict[int, dict[int, float]] = defaultdict(dict)  # interval -> number of the point -> loss
        self._step: dict[tuple[int, int], int] = {}

    def donor(self, number: int, step: int, value: float) -> tuple[int, int] | None:
        """Take a score; if the point is to be replaced, the number of the point to go on from and its step."""
        interval = step // self._scheduler.interval_steps
        losses = self._losses[interval]
        if interval == 0 or number in losses:
            return None
        losses[number] = self._sign * value
        self._step[number, interval] = step
        share = math.floor(len(losses) * self._scheduler.quantile)
        ranked = sorted(losses, key=lambda n: (losses[n], n))
        if share == 0 or number not in ranked[-share:]:
            return None
        chosen = self._random(number, step).choice(ranked[:share])
        return chosen, self._step[chosen, interval]

    def perturbed(self, point: Point, space: Mapping[str, Parameter], number: int, step: int) -> Point:
        """A neighbour of ``point``, drawn for the place of the point ``number``."""
        draw = self._random(number, step)
        deciding = {name for parameter in space.values() for name in parameter.when}  # on which others exist
        return {n: value if n in deciding else _perturb(draw, space[n], value) for n, value in point.items()}

    def _random(self, number: int, step: int) -> random.Random:
        return random.Random(digest([self._seed, number, step]))  # noqa: S311 - reproducible, not secret


def _perturb(draw: random.Random, parameter: Parameter, value: Scalar) -> Scalar:
    fresh = draw.random() < _RESAMPLE
    if isinstance(parameter, Choice):
        return draw.choice(parameter.choices) if fresh else value
    low, high = float(parameter.low), float(parameter.high)
    if not fresh:
        moved = float(value) * draw.choice(_FACTORS)
    elif parameter.log:
        moved = math.exp(draw.uniform(math.log(low), math.log(high)))
    else:
        moved = draw.uniform(low, high)
    if parameter.step is not None:
        moved = low + round((moved - low) / parameter.step) * parameter.step
    inside = min(max(moved, low), high)
    return round(inside) if parameter.is_int else inside

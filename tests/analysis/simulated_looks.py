"""How a sequential confirmation compares with all seeds at once, by simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from simulation import NOISES

from analysis import sequential, stats

Effects = Callable[[np.random.Generator, int], np.ndarray]


class Outcome(NamedTuple):
    agreement: float  # of the verdicts with those of all seeds at once
    trials: float  # as a share of those of all seeds
    false: float  # verdicts that are wrong where there is no effect
    again: float  # agreement of all seeds with as many other seeds


def sequentially(
    effects: np.ndarray, noise: str, first: int = 5, most: int = 20, *, peek: bool = False, seed: int = 0
) -> Outcome:
    """Paired claims of these effects, in units of the noise of a difference.

    Args:
        peek: look at the first seeds at the full 5 % first, and confirm only what that leaves undecided. This is what
            the docs warn of.
    """
    random = np.random.default_rng([seed, *map(ord, noise)])
    differences, others = (_differences(effects, noise, most, random) for _ in range(2))
    fixed, again = ([_side(row, 0.05) for row in rows] for rows in (differences, others))
    sides, used = np.array([_one(row, first, peek) for row in differences]).T
    wrong = (sides != 0)[effects == 0]
    false = float(wrong.mean()) if len(wrong) else 0.0
    return Outcome(_share(sides, fixed), float(used.mean() / most), false, _share(fixed, again))


def _share(one: ArrayLike, other: ArrayLike) -> float:
    return float(np.mean(np.equal(one, other)))


def _differences(effects: np.ndarray, noise: str, seeds: int, random: np.random.Generator) -> np.ndarray:
    """Of both sides, seed by seed, in standard deviations; of shape (claims, seeds)."""
    drawn = NOISES[noise](random, (2, len(effects), seeds))
    return (drawn[0] - drawn[1]) / (drawn[0] - drawn[1]).std() + effects[:, None]


def _side(values: np.ndarray, level: float) -> int:
    found = stats.mean(values)
    return int(np.sign(found.value)) if found.p_value() <= level else 0


def _one(values: np.ndarray, first: int, peek: bool) -> tuple[int, int]:
    """The verdict of one claim, and the seeds that it took."""
    plan = sequential.schedule(first, len(values))
    levels = sequential.levels(tuple(n / len(values) for n in plan), 0.05)
    if peek and (side := _side(values[:first], 0.05)):
        return side, first
    for n, level in zip(plan, levels, strict=True):
        if side := _side(values[:n], level):
            return side, n
        p = stats.mean(values[:n]).p_value()
        if n < plan[-1] and sequential.chance(p, n, plan[-1], levels[-1]) < sequential.HOPE:
            return 0, n
    return 0, plan[-1]


def tuned(number: int) -> np.ndarray:
    """The mixture on which the parameters of the design were chosen: a quarter each of these effects."""
    return np.tile([0.0, 0.5, 1.0, 2.0], number // 4)


def _half_null(effects: Effects) -> Effects:
    return lambda random, number: np.where(np.arange(number) % 2, effects(random, number), 0.0)


def _normal(width: float) -> Effects:
    return lambda random, number: random.normal(0, width, number)


# Written down before any of them was run; none of them has had a say in the design.
MIXTURES: dict[str, Effects] = {
    "normal, width 1/2": _normal(0.5),
    "normal, width 1": _normal(1.0),
    "normal, width 2": _normal(2.0),
    "half none, half normal of width 1": _half_null(_normal(1.0)),
    "half none, half normal of width 2": _half_null(_normal(2.0)),
    "exponential, mean 1": lambda random, number: random.exponential(1, number),
    "half none, half exponential of mean 1": _half_null(lambda random, number: random.exponential(1, number)),
    "0, 1/4, 3/4, 3/2 and 3 alike": lambda _, number: np.resize([0.0, 0.25, 0.75, 1.5, 3.0], number),
    "uniform from 0 to 2": lambda random, number: random.uniform(0, 2, number),
}


def on_mixture(name: str, noise: str, number: int = 4000) -> Outcome:
    return sequentially(MIXTURES[name](np.random.default_rng([number, *map(ord, name)]), number), noise)

"""More seeds until a claim is decided, with error rates that stay what they are under this optional stopping.

Method: a group-sequential design with error spending (Lan and DeMets, 1983, Discrete sequential boundaries for clinical
trials, Biometrika 70, 659-663). After n of at most N seeds the share (n / N)**1.75 of the error may have been spent:
the power family of Kim and DeMets (1987, Design and analysis of group sequential tests based on the type I error
spending rate function, Biometrika 74, 149-154). The levels of the looks come from the recursion of Armitage, McPherson
and Rowe (1969, Repeated significance tests on accumulating data, J. R. Stat. Soc. A 132, 235-244) for a normal score,
and are applied to the p values of t statistics (Jennison and Turnbull, 2000, Group Sequential Methods, section 3.8).

A claim that is unlikely to be decided by the last look is given up early. This rule is not binding: it costs power,
never error (Lachin, 2005, A review of methods for futility stopping based on conditional power, Stat. Med. 24,
2747-2764).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from analysis.stats import Effect, quantile

POWER = 0.8  # that `more_needed` plans for
HOPE = 0.125  # a claim with a smaller chance to be decided by the last look is given up
_EXPONENT = 1.75
_LOOKS = 4  # after the first one
_TAIL = 8.0  # standard deviations of the score beyond which nothing is left
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_MOST = 10_000  # replicates that are worth an estimate


def schedule(first: int, most: int) -> list[int]:
    """The numbers of seeds at which a look is taken: fixed beforehand, so that no result can move them."""
    step = max(1, math.ceil((most - first) / _LOOKS))
    return [*range(first, most, step), most]


def spent(fraction: float) -> float:
    """The share of the error that may be spent when this fraction of the seeds is there."""
    return min(1.0, fraction) ** _EXPONENT


@lru_cache(maxsize=4096)
def levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The two-sided significance level of every look.

    Args:
        fractions: of the seeds at each look, rising, the last at most 1. A look depends on those before it only.
        alpha: of all looks together.
    """
    if fractions == (1.0,):
        return (alpha,)
    found: list[float] = []
    before, grid, mass = 0.0, np.zeros(1), np.ones(1)  # the density of the score that has not crossed yet
    for fraction in fractions:
        share = alpha * (spent(fraction) - spent(before))
        bound = _bound(grid, mass, math.sqrt(fraction - before), share)
        found.append(float(2 * ndtr(-bound / math.sqrt(fraction))))
        reach = min(bound, _TAIL * math.sqrt(fraction))
        grid, mass = _after(grid, mass, math.sqrt(fraction - before), reach)
        before = fraction
    return tuple(found)


def _bound(grid: np.ndarray, mass: np.ndarray, step: float, share: float) -> float:
    """The bound that a score, continued by a normal step, crosses with the chance ``share``; by bisection."""
    low, high = 0.0, 40.0
    for _ in range(50):
        middle = (low + high) / 2
        crossed = float(mass @ (ndtr((-middle - grid) / step) + ndtr((grid - middle) / step)))
        low, high = (middle, high) if crossed > share else (low, middle)
    return high


def _after(grid: np.ndarray, mass: np.ndarray, step: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores within ``reach`` after one more step, and their masses, by Gauss-Legendre quadrature."""
    new = reach * _NODES
    density = np.exp(-((new[:, None] - grid) ** 2) / (2 * step**2)) @ mass / (step * math.sqrt(2 * math.pi))
    return new, density * reach * _WEIGHTS


def p_value(p_values: Sequence[float], fractions: tuple[float, ...]) -> float:
    """The smallest alpha at which some look decides; NaN counts as 1. For one look at the end it is its own p."""
    p = np.nan_to_num(np.asarray(p_values, dtype=float), nan=1.0)
    if fractions == (1.0,):
        return float(p[0])

    def decides(alpha: float) -> bool:
        return bool((p <= levels(fractions, alpha)).any())

    low, high = -300.0, 0.0  # decimal logarithms
    if not decides(1.0):
        return 1.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(10**middle) else (middle, high)
    return 10**high


def chance(p: float, count: int, most: int, level: float) -> float:
    """How likely the last look decides at ``level``, given p now: predictive, with a flat prior of the effect."""
    if not p > 0 or count >= most:
        return 1.0 if p == 0 else 0.0
    z, ratio = -float(ndtri(p / 2)), most / count
    reach = -float(ndtri(level / 2))
    up, down = (sign * z * math.sqrt(ratio) - reach for sign in (1, -1))
    return float(ndtr(up / math.sqrt(ratio - 1)) + ndtr(down / math.sqrt(ratio - 1)))


def more_needed(effect: Effect, p: float, level: float) -> int | None:
    """About how many more replicates would decide, with 80 % power, if effect and noise are as they seem now.

    Args:
        effect: what is known now.
        p: of the nearest bound, as the effect gives it.
        level: of the interval that has to exclude the bound.

    Returns:
        None if they are too many to say, or if there is only one replicate.
    """
    if not effect.freedom > 0 or not 0 < p < 1:
        return None
    signal = -float(stdtrit(effect.freedom, p / 2)) / math.sqrt(effect.count)
    sizes = range(max(2, effect.count + 1), _MOST)
    place = bisect_left(sizes, 0.0, key=lambda n: signal * math.sqrt(n) - _reach(n, level))
    return sizes[place] - effect.count if place < len(sizes) else None


def _reach(n: int, level: float) -> float:
    """In standard errors: to the end of the interval, and the margin that gives the power."""
    return quantile(level, n - 1) + float(stdtrit(n - 1, POWER))

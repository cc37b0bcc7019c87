"""What the best of several noisy points is worth. Higher is better throughout.

The highest of K noisy values is too high: it was chosen for its luck as much as for its merit. Three curves say what
to expect of the best of k = 1, 2, ... of the points that were tried:

* ``naive``: the expected maximum of the observed values (Dodge et al., 2019, Show your work, EMNLP), over subsets
  without repetition (Tang et al., 2020, ACL). Biased upwards.
* ``by_noise``: a point is chosen by its observed value, but paid by the mean over its confirm seeds, which had no part
  in the choice; a point without confirm seeds is paid by the mean of its true value given the observed ones. For that
  the noise is taken from the confirm seeds, and the distribution of the true values is the most likely one (Kiefer &
  Wolfowitz, 1956, Ann. Math. Stat. 27, 887-906; by EM as in Laird, 1978, JASA 73, 805-811).
* ``by_replicates``, without confirm seeds but with two tune seeds or more: a point is chosen on all seeds but one and
  paid by that one, in turn. No model; unbiased, for a choice on one seed less.

What all points share by being tuned on one seed (an easy split, say) looks like merit in those without confirm seeds.
Intervals are from a nested bootstrap: points are drawn again, and then the values that they are paid by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Sizes = NDArray[np.int64]

RESAMPLES = 100
_STEPS = 50  # of EM, from even weights; more would follow the noise


@dataclass(frozen=True, eq=False)
class Curve:
    """By budget; ``draws`` are those of the bootstrap, of shape (resamples, budgets)."""

    value: Floats
    draws: Floats


def budgets(points: int) -> Sizes:
    """1, 2, ... to all points, thinned out where there are more than 32; half of them is always there."""
    thinned = np.geomspace(1, points, 32).round() if points > 32 else np.arange(1, points + 1)
    return np.unique([*thinned.astype(int), max(1, points // 2), points])


def naive(values: Floats, sizes: Sizes, idle: int = 0) -> Floats:
    """``idle``: how many more points there are, which cannot be chosen. The best is that of those that can, if any."""
    return np.sort(values) @ _chances(len(values), sizes, idle)


def _chances(points: int, sizes: Sizes, idle: int) -> Floats:
    """Of each rank, from the lowest, to be the highest of a random subset; of shape (ranks, sizes)."""
    ranks = np.arange(idle, idle + points)[:, None]
    ways = _log_ways(ranks, sizes - 1) - _log_ways(np.array(idle + points), sizes)
    chances = np.exp(ways)
    return chances / chances.sum(axis=0)


def _log_ways(total: NDArray[np.int64], chosen: Sizes) -> Floats:
    """The logarithm of the binomial coefficient."""
    fits = chosen <= total
    rest = np.where(fits, total - chosen, 0)
    return np.where(fits, gammaln(total + 1) - gammaln(chosen + 1) - gammaln(rest + 1), -np.inf)


def by_noise(
    values: Floats, fresh: Floats, errors: Floats, noise: float, sizes: Sizes, idle: int, random: np.random.Generator
) -> Curve:
    """Choose by the tune seeds, and pay by the confirm seeds or by what is likely.

    Args:
        values: of each point, the mean over its tune seeds.
        fresh, errors: of each point, the mean over its confirm seeds and its standard error; NaN where there are none.
        noise: standard error of the values, above 0.
    """
    repeated = np.isfinite(fresh)
    seen, error = np.where(repeated, fresh, values), np.where(repeated, errors, noise)
    atoms = _atoms(seen, noise)
    given = _posterior(seen, error, atoms)
    chances, order = _chances(len(values), sizes, idle), np.argsort(values, kind="stable")
    likely = given @ atoms
    spread = np.sqrt((given * (atoms - likely[:, None]) ** 2).sum(axis=1))
    paid, error = (np.where(repeated, *pair)[order] for pair in ((fresh, likely), (errors, spread)))
    picks = np.sort(random.integers(len(values), size=(RESAMPLES, len(values))), axis=1)
    drawn = paid[picks] + error[picks] * random.normal(size=picks.shape)
    return Curve(paid @ chances, drawn @ chances)


def by_replicates(table: Floats, sizes: Sizes, idle: int, random: np.random.Generator) -> Curve:
    """``table``: points by tune seeds."""
    chances = _chances(len(table), sizes, idle)

    def curve(rows: Floats) -> Floats:
        chosen = (rows.sum(axis=1, keepdims=True) - rows).argsort(axis=0, kind="stable")
        return np.take_along_axis(rows, chosen, axis=0).mean(axis=1) @ chances

    picks = random.integers(len(table), size=(RESAMPLES, len(table)))
    error = np.sqrt(table.var(axis=1, ddof=1).mean() / table.shape[1])
    again = error * random.normal(size=picks.shape) @ chances
    return Curve(curve(table), np.array([curve(table[pick]) for pick in picks]) + again)


def _atoms(values: Floats, noise: float) -> Floats:
    """Where true values may lie: close together where the best ones are, elsewhere at observed values."""
    top = values.max()
    near = np.linspace(max(values.min(), top - 6 * noise), top, 49)
    return np.unique([*near, *np.quantile(values, np.linspace(0, 1, min(len(values), 48)))])


def _posterior(seen: Floats, error: Floats, atoms: Floats) -> Floats:
    """Points by atoms: the chance that the true value of the point is the atom."""
    distance = ((seen[:, None] - atoms) / error[:, None]) ** 2
    likelihood = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / 2)
    weights = np.full(len(atoms), 1 / len(atoms))
    for _ in range(_STEPS):
        weights = weights * ((1 / (likelihood @ weights)) @ likelihood) / len(likelihood)
    joint = likelihood * weights
    return joint / joint.sum(axis=1, keepdims=True)

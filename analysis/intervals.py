"""Bootstrap and rank intervals of means, medians and interquartile means over replicates.

None of them decides a claim: with five replicates the bootstrap covers about 80 % where it says 95 %. They are here for
many replicates, and for statistics that have no better interval. docs/claims.md has the coverage of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis.stats import LEVEL, Floats

Statistic = Literal["mean", "median", "iqm"]
Interval = tuple[float, float]

_RESAMPLES = 2000
_SEED = 0


def iqm(values: ArrayLike, axis: int = 0) -> float | Floats:
    """The interquartile mean: the mean of the middle half.

    Source: Agarwal et al., 2021, Deep reinforcement learning at the edge of the statistical precipice, NeurIPS.
    """
    from scipy.stats import trim_mean

    return trim_mean(values, 0.25, axis=axis)


def _statistic(name: Statistic) -> Callable[..., float | Floats]:
    known: dict[str, Callable[..., float | Floats]] = {"mean": np.mean, "median": np.median, "iqm": iqm}
    return known[name]


def bootstrap(
    values: ArrayLike,
    statistic: Statistic = "mean",
    method: Literal["percentile", "BCa"] = "BCa",
    level: float = LEVEL,
    resamples: int = _RESAMPLES,
) -> Interval:
    """By resampling the replicates; the value itself where they are all the same. The same every time.

    Source: Efron, 1987, Better bootstrap confidence intervals, J. Am. Stat. Assoc. 82, 171-185; with
    ``scipy.stats.bootstrap``.
    """
    from scipy.stats import bootstrap as resampled

    x = np.asarray(values, dtype=float)
    if len(x) < 2 or not np.isfinite(x).all():
        return np.nan, np.nan
    if np.ptp(x) == 0:
        return float(x[0]), float(x[0])
    found = resampled(
        (x,),
        _statistic(statistic),
        confidence_level=level,
        n_resamples=resamples,
        method=method,
        vectorized=True,
        rng=np.random.default_rng(_SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def stratified(
    cells: Sequence[ArrayLike], statistic: Statistic = "iqm", level: float = LEVEL, resamples: int = _RESAMPLES
) -> Interval:
    """Percentile interval of a statistic over all cells together, the replicates resampled within each cell.

    Source: Agarwal et al., 2021, as in ``iqm``, section 4.3.
    """
    random = np.random.default_rng(_SEED)
    columns = [np.asarray(cell, dtype=float) for cell in cells]
    drawn = [column[random.integers(0, len(column), (resamples, len(column)))] for column in columns]
    found = _statistic(statistic)(np.concatenate(drawn, axis=1), axis=1)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def median(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Between two of the values in their order, by the binomial distribution, whatever the noise.

    Its level is reached or exceeded; with fewer than six replicates none can reach 95 %, and an end is infinite.

    Source: Conover, 1999, Practical Nonparametric Statistics, section 3.2; ``scipy.stats.quantile_test``.
    """
    from scipy.stats import binom

    x = np.sort(np.asarray(values, dtype=float))
    below = int(binom.ppf((1 - level) / 2, len(x), 0.5)) - 1  # so many values may be left out on each side
    if below < 0:
        return -np.inf, np.inf
    return float(x[below]), float(x[len(x) - 1 - below])

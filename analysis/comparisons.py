"""Two sides compared without the assumptions of t, sizes of effects, and corrections for many comparisons.

The t tests themselves, paired and of Welch, the ratio of Fieller, and Holm's correction are in stats.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis import stats
from analysis.stats import LEVEL, Floats

_SEED = 0


def permutation(a: ArrayLike, b: ArrayLike, *, paired: bool, resamples: int = 9999) -> float:
    """Two-sided p value of a difference in means: exact if no more permutations exist than ``resamples``.

    Paired, the signs of the differences are permuted: with five seeds p cannot fall below 1/16, so nothing is ever
    significant at 5 %.

    Source: Pitman, 1937, Significance tests which may be applied to samples from any populations, J. R. Stat. Soc.
    Suppl. 4, 119-130; with ``scipy.stats.permutation_test``.
    """
    from scipy.stats import permutation_test

    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    kind = "samples" if paired else "independent"
    data: tuple[Any, ...] = (x - y,) if paired else (x, y)
    found = permutation_test(
        data,
        (lambda d, axis: np.mean(d, axis=axis)) if paired else _difference,
        permutation_type=kind,
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(_SEED),
    )
    return float(found.pvalue)


def _difference(x: Floats, y: Floats, axis: int) -> Floats:
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """The chance that a replicate of ``a`` is above one of ``b``, ties counted half.

    Source: Mann and Whitney, 1947, Ann. Math. Stat. 18, 50-60; Agarwal et al., 2021, NeurIPS, section 4.3.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(np.mean(np.sign(x[:, None] - y) / 2 + 0.5))


def improvement_interval(a: ArrayLike, b: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the probability of improvement that stays in [0, 1] and does not end where the sides are separate.

    Source: Newcombe, 2006, Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2,
    Stat. Med. 25, 559-573: method 5, a score interval, solved by bisection.
    """
    found = probability_of_improvement(a, b)
    m, n = len(np.asarray(a)), len(np.asarray(b))
    z = stats.quantile(level, np.inf)
    middle = (m + n) / 2 - 1

    def inside(theta: float) -> bool:
        spread = theta * (1 - theta) / (m * n)
        variance = spread * (1 + middle * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(found - theta) <= z * np.sqrt(variance)

    return _end(inside, found, 0.0), _end(inside, found, 1.0)


def _end(inside: Any, start: float, end: float) -> float:
    """The last place that is inside, on the way from the start to the end."""
    good, bad = start, end
    for _ in range(60):
        half = (good + bad) / 2
        good, bad = (half, bad) if inside(half) else (good, half)
    return good


def hedges_g(a: ArrayLike, b: ArrayLike) -> float:
    """The difference in standard deviations of the pooled noise, corrected for few replicates.

    Source: Hedges, 1981, Distribution theory for Glass's estimator of effect size, J. Educ. Stat. 6, 107-128.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    freedom = len(x) + len(y) - 2
    pooled = ((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / freedom
    return float((x.mean() - y.mean()) / np.sqrt(pooled) * (1 - 3 / (4 * freedom - 1)))


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, *, paired: bool) -> float:
    """The p value of "the difference is less than the margin": two one-sided tests.

    Source: Schuirmann, 1987, J. Pharmacokinet. Biopharm. 15, 657-680.
    """
    found = stats.difference(a, b, paired=paired)
    if not abs(found.value) < margin:
        return max(0.5, 1 - found.p_value(float(np.copysign(margin, found.value))) / 2)
    return max(found.p_value(-margin), found.p_value(margin)) / 2


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that bound the expected share of false ones among those that are rejected.

    Source: Benjamini and Hochberg, 1995, J. R. Stat. Soc. B 57, 289-300; ``scipy.stats.false_discovery_control``.
    """
    from scipy.stats import false_discovery_control

    return false_discovery_control(np.nan_to_num(p_values, nan=1.0)).tolist() if len(p_values) else []

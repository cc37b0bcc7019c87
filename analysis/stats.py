"""Intervals and tests over seeds.

An *effect* has a value, an interval at any level and a p value against any bound, and these three agree: the interval
at level 1 - p is the first one that touches the bound. All tests are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit  # scipy.stats has the same, but takes a second to import

ALPHA = 0.05
LEVEL = 1 - ALPHA

Floats = NDArray[np.float64]


class Effect(Protocol):
    @property
    def value(self) -> float: ...

    @property
    def count(self) -> int:
        """Replicates; on the smaller side if there are two."""
        ...

    @property
    def freedom(self) -> float: ...

    def interval(self, level: float = LEVEL) -> tuple[float, float]: ...

    def p_value(self, bound: float = 0.0) -> float: ...


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error, whose error follows Student's t. One replicate has no error: NaN."""

    value: float
    error: float
    freedom: float
    count: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        reach = quantile(level, self.freedom) * self.error
        return self.value - reach, self.value + reach

    def p_value(self, bound: float = 0.0) -> float:
        return _two_sided(self.value - bound, self.error, self.freedom)


@dataclass(frozen=True)
class SkewedMean:
    """A mean whose interval holds both that of Student and that of Hall, which leans to the side of the skewness.

    Student's t of a skewed sample is itself skewed. Hall's cubic removes that, never decreases, and can be inverted, so
    the interval and the p value agree; the estimate of the third moment is the one that Johnson takes. Few values often
    look straight when they are skewed, or skewed when they are not, and then one of the two is too short, by itself:
    what they agree on is rejected less often than 6 % of the time, whether there is skewness or not.

    Source: Hall, 1992, On the removal of skewness by transformation, J. R. Stat. Soc. B 54(1), 221-228; Johnson, 1978,
    Modified t tests and confidence intervals for asymmetrical populations, J. Am. Stat. Assoc. 73, 536-544.
    """

    value: float
    error: float
    freedom: float
    count: int
    skewness: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        reach = quantile(level, self.freedom)
        left, right = max(reach, self._root(reach)), min(-reach, self._root(-reach))
        return self.value - left * self.error, self.value - right * self.error

    def p_value(self, bound: float = 0.0) -> float:
        plain = _two_sided(self.value - bound, self.error, self.freedom)
        if not self.error > 0:
            return plain
        t = (self.value - bound) / self.error
        return max(plain, _two_sided(self._straight(t), 1.0, self.freedom))

    def _straight(self, t: float) -> float:
        """Hall's cubic of Student's t, which is about symmetric."""
        a = self._bend
        return t + a * t**2 + a**2 * t**3 / 3 + a / 2

    def _root(self, y: float) -> float:
        """The t of which the cubic is ``y``."""
        a = self._bend
        return y if abs(a) < 1e-9 else (math.cbrt(1 + 3 * a * (y - a / 2)) - 1) / a

    @property
    def _bend(self) -> float:
        return self.skewness / (3 * math.sqrt(self.count)) if self.count else 0.0


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means with Fieller's interval, which needs no logarithm, so zeros are welcome.

    Variances and covariance are those of the means. Where the lower mean cannot be told from zero the interval is
    unbounded, and no bound is ever rejected.

    Source: Fieller, 1954, Some problems in interval estimation, J. R. Stat. Soc. B 16(2), 175-185.
    """

    above: float
    below: float
    above_variance: float
    below_variance: float
    covariance: float
    freedom: float
    count: int

    @property
    def value(self) -> float:
        return self.above / self.below if self.below else math.nan

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        t2 = quantile(level, self.freedom) ** 2
        a = self.below**2 - t2 * self.below_variance
        b = self.above * self.below - t2 * self.covariance
        c = self.above**2 - t2 * self.above_variance
        if math.isnan(a):
            return math.nan, math.nan
        if a <= 0:
            return -math.inf, math.inf
        root = math.sqrt(max(b * b - a * c, 0.0))
        return (b - root) / a, (b + root) / a

    def p_value(self, bound: float = 0.0) -> float:
        variance = self.above_variance - 2 * bound * self.covariance + bound**2 * self.below_variance
        error = math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan
        p = _two_sided(self.above - bound * self.below, error, self.freedom)
        return _largest(p, _two_sided(self.below, math.sqrt(self.below_variance), self.freedom))


def quantile(level: float, freedom: float) -> float:
    """How many standard errors a two-sided t interval reaches; NaN without degrees of freedom."""
    return float(stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else math.nan


def _two_sided(distance: float, error: float, freedom: float) -> float:
    if math.isnan(distance) or math.isnan(error):
        return math.nan
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    return 2 * float(stdtr(freedom, -abs(distance) / error))


def _largest(*p: float) -> float:
    return math.nan if any(math.isnan(one) for one in p) else max(p)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _variance_of_mean(values: Floats) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.nan


def mean(values: ArrayLike) -> Estimate:
    """The mean with its t interval (Student, 1908). Values that are not finite give NaN, rather than vanish."""
    x = _floats(values)
    if not len(x) or not np.isfinite(x).all():
        return Estimate(math.nan, math.nan, math.nan, len(x))
    return Estimate(float(x.mean()), math.sqrt(_variance_of_mean(x)), len(x) - 1, len(x))


def skewed_mean(values: ArrayLike) -> SkewedMean:
    """The mean with an interval that allows for skewness, which takes three values to estimate."""
    x, plain = _floats(values), mean(values)
    n, skewness = len(x), 0.0
    if plain.error > 0 and n > 2:
        skewness = float(((x - plain.value) ** 3).mean()) / (plain.error**3 * n**1.5) * n**2 / ((n - 1) * (n - 2))
    return SkewedMean(plain.value, plain.error, plain.freedom, n, skewness)


def difference(a: ArrayLike, b: ArrayLike, *, paired: bool) -> Estimate:
    """The mean of ``a`` minus that of ``b``.

    Not paired, it is Welch's test: Welch, 1947, The generalization of Student's problem, Biometrika 34, 28-35.
    Differences within rounding error are 0, so that equal sides never look different.
    """
    x, y = _floats(a), _floats(b)
    if paired:
        return mean(np.where(np.isclose(x, y, rtol=1e-12, atol=0), 0.0, x - y))
    left, right = mean(x), mean(y)
    freedom = _welch(left.error**2, right.error**2, left.freedom, right.freedom)
    count = min(left.count, right.count)
    return Estimate(left.value - right.value, math.hypot(left.error, right.error), freedom, count)


def _welch(var_a: float, var_b: float, freedom_a: float, freedom_b: float) -> float:
    """The degrees of freedom of a sum of two variances: Satterthwaite, 1946, Biometrics Bulletin 2, 110-114."""
    if math.isnan(var_a + var_b):
        return math.nan
    if var_a + var_b == 0:
        return freedom_a + freedom_b
    return (var_a + var_b) ** 2 / (var_a**2 / freedom_a + var_b**2 / freedom_b)


def ratio(a: ArrayLike, b: ArrayLike, *, paired: bool) -> Ratio:
    """The mean of ``a`` over the mean of ``b``."""
    x, y = _floats(a), _floats(b)
    left, right = mean(x), mean(y)
    var_x, var_y = left.error**2, right.error**2
    count = min(left.count, right.count)
    if paired:
        covariance = float(np.cov(x, y)[0, 1]) / len(x) if not math.isnan(var_x + var_y) else math.nan
        return Ratio(left.value, right.value, var_x, var_y, covariance, left.freedom, count)
    scale = (left.value / right.value) ** 2 if right.value else math.nan
    freedom = _welch(var_x, scale * var_y, left.freedom, right.freedom)
    return Ratio(left.value, right.value, var_x, var_y, 0.0, freedom, count)


def trend(table: ArrayLike) -> Estimate:
    """The average change from one level to the next, for values of shape (seeds, levels) in the order of the levels.

    The least-squares slope over the ranks of the levels is computed for each seed, and the seeds are the replicates
    (the summary measures of Matthews et al., 1990, BMJ 300, 230-235). Ranks, as in the test of Page (1963, J. Am.
    Stat. Assoc. 58, 216-230), make it indifferent to whether the levels are spaced linearly or geometrically.
    """
    values = _floats(table)
    ranks = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    slopes = values @ ranks / (ranks @ ranks)
    return mean(np.where(np.isclose(values.max(axis=1), values.min(axis=1), rtol=1e-12, atol=0), 0.0, slopes))


def p_of_region(effect: Effect, low: float, high: float) -> float:
    """The p value at which the effect is found to be inside (low, high), or to be outside.

    For a margin around zero this is twice the p of two one-sided tests (Schuirmann, 1987, J. Pharmacokinet. Biopharm.
    15, 657-680): twice, because "outside" is tested as well.
    """
    return _largest(*(effect.p_value(bound) for bound in (low, high) if math.isfinite(bound)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that bound the chance of any wrong rejection among all; NaN counts as 1.

    Source: Holm, 1979, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6, 65-70.
    """
    p = np.nan_to_num(_floats(p_values), nan=1.0)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted.tolist()


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """The confidence level of each interval, such that it excludes its bound exactly if Holm's test rejects it."""
    rejected = np.array([p <= alpha for p in holm(p_values)], dtype=bool)
    ranks = np.argsort(np.argsort(np.nan_to_num(_floats(p_values), nan=1.0), kind="stable"), kind="stable")
    ranks = np.where(rejected, ranks, rejected.sum())
    return (1 - alpha / (len(rejected) - ranks)).tolist() if len(rejected) else []

"""Rank correlation over cells, and its mean over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from analysis import stats

_UNSEEN = 3  # swaps that may have gone unseen


def spearman(a: ArrayLike, b: ArrayLike) -> stats.Floats:
    """Spearman's correlation over the last axis; NaN where one side is constant."""
    left, right = _ranks(a), _ranks(b)
    scale = np.sqrt((left**2).sum(axis=-1) * (right**2).sum(axis=-1))
    return np.where(scale > 0, (left * right).sum(axis=-1), np.nan) / np.where(scale > 0, scale, 1.0)


def _ranks(values: ArrayLike) -> stats.Floats:
    """Their mean is 0."""
    from scipy.stats import rankdata  # takes a second to import

    ranks = rankdata(values, axis=-1)
    return ranks - ranks.mean(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Correlation:
    """An effect that cannot be below -1 or above 1."""

    mean: stats.SkewedMean

    @property
    def value(self) -> float:
        return self.mean.value

    @property
    def count(self) -> int:
        return self.mean.count

    @property
    def freedom(self) -> float:
        return self.mean.freedom

    def interval(self, level: float = stats.LEVEL) -> tuple[float, float]:
        low, high = np.clip(self.mean.interval(level), -1, 1)
        return float(low), float(high)

    def p_value(self, bound: float = 0.0) -> float:
        known = self.mean.p_value(bound)
        return known if abs(bound) < 1 or math.isnan(known) else 0.0


def mean(found: ArrayLike, cells: int) -> Correlation:
    """The mean of the correlations that the seeds have found, each over so many cells.

    Seeds that all find the same order of the cells do not prove that every seed would. Where two neighbours in an order
    of k cells change places, the correlation moves by 12 / (k**3 - k), and near 1 such swaps are rare, hence about
    Poisson. The error is at least what this says of the swaps that were seen and three that were not, the rule of three
    of Hanley and Lippman-Hand, 1983, If nothing goes wrong, is everything all right?, JAMA 249, 1743-1745.
    """
    plain, swap = stats.skewed_mean(found), 12 / (cells**3 - cells)
    if not plain.error >= 0:
        return Correlation(plain)
    seen = (1 - abs(plain.value)) / swap
    least = swap * math.sqrt((seen + _UNSEEN / plain.count) / plain.count)
    return Correlation(replace(plain, error=max(plain.error, least)))

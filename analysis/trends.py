"""How a metric goes along a factor: trends, slopes, fitted curves, peaks and thresholds.

Tables have the shape (seeds, levels), the levels in rising order; the seeds are the replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analysis import stats
from analysis.stats import Estimate, Floats, Ratio

_PERMUTATIONS = 9999
_SEED = 0


def page(table: ArrayLike) -> float:
    """p value of "it rises along the levels", by ranks within each seed.

    Source: Page, 1963, J. Am. Stat. Assoc. 58, 216-230; ``scipy.stats.page_trend_test``.
    """
    from scipy.stats import page_trend_test

    return float(page_trend_test(np.asarray(table, dtype=float)).pvalue)


def jonckheere(groups: Sequence[ArrayLike], permutations: int = _PERMUTATIONS) -> float:
    """p value of "it rises along the levels", where seeds are not paired; by permutation, so ties are welcome.

    Source: Jonckheere, 1954, A distribution-free k-sample test against ordered alternatives, Biometrika 41, 133-145.
    """
    columns = [np.asarray(group, dtype=float) for group in groups]
    rank = np.repeat(np.arange(len(columns)), [len(column) for column in columns])
    pooled = np.concatenate(columns)
    above = np.sign(pooled[None, :] - pooled[:, None])
    random = np.random.default_rng(_SEED)

    def statistic(order: np.ndarray) -> float:
        return float(above[order[:, None] < order].sum())

    seen = statistic(rank)
    as_large = sum(statistic(random.permutation(rank)) >= seen for _ in range(permutations))
    return (1 + as_large) / (1 + permutations)


def slope(x: ArrayLike, table: ArrayLike) -> Estimate:
    """Change per unit of x: the least-squares slope of each seed, with the t interval of their mean.

    Source: the summary measures of Matthews et al., 1990, BMJ 300, 230-235.
    """
    places = np.asarray(x, dtype=float)
    centred = places - places.mean()
    return stats.mean(np.asarray(table, dtype=float) @ centred / (centred @ centred))


def peak(x: ArrayLike, table: ArrayLike) -> Ratio:
    """Where the parabola through the levels has its vertex, with Fieller's interval: unbounded if it may be straight.

    Source: Lind and Mehlum, 2010, With or without U? The appropriate test for a U-shaped relationship, Oxf. Bull.
    Econ. Stat. 72, 109-118.
    """
    places, values = np.asarray(x, dtype=float), np.asarray(table, dtype=float)
    centre, scale = places.mean(), np.ptp(places)
    square, line, _ = np.polyfit((places - centre) / scale, values.T, 2)
    # Where 2 square x + line = 0, and x = centre + scale * place: both as one ratio, of which Fieller knows the error.
    return stats.ratio(2 * square * centre - line * scale, 2 * square, paired=True)


def threshold(x: ArrayLike, table: ArrayLike, value: float) -> Estimate:
    """Where the mean over seeds first crosses a value, straight between levels; by the jackknife over seeds.

    NaN if it does not cross, with any seed left out.
    """

    def crossing(rows: Floats) -> Floats:
        above = rows.mean(axis=0) - value
        for i in range(len(above) - 1):
            if above[i] * above[i + 1] <= 0 and above[i] != above[i + 1]:
                return np.array([places[i] + (places[i + 1] - places[i]) * above[i] / (above[i] - above[i + 1])])
        return np.array([np.nan])

    places = np.asarray(x, dtype=float)
    return jackknife(np.asarray(table, dtype=float), crossing)[0]


def jackknife(table: Floats, statistic: Callable[[Floats], Floats]) -> list[Estimate]:
    """Each number of a statistic of the seeds, with a t interval from leaving out one seed at a time.

    Source: Tukey, 1958, Bias and confidence in not quite large samples, Ann. Math. Stat. 29, 614.
    """
    n, whole = len(table), statistic(table)
    without = np.array([statistic(np.delete(table, i, axis=0)) for i in range(n)]) if n > 1 else np.full((1, 1), np.nan)
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0)) * np.ones_like(whole)
    return [Estimate(float(v), float(e), n - 1, n) for v, e in zip(whole, error, strict=True)]


# --- fits ------------------------------------------------------------------------------------------------------------

Curve = Literal["power", "saturating"]


@dataclass(frozen=True)
class Fit:
    """A curve through the mean over seeds.

    Attributes:
        parameters: of ``power`` (y = scale * x**exponent): scale, exponent; of ``saturating`` (y = top * x / (half +
            x)): top, half.
        held_out: root mean square error at a level that the fit has not seen, each level left out in turn.
    """

    curve: Curve
    parameters: dict[str, Estimate]
    held_out: float

    def __call__(self, x: ArrayLike) -> Floats:
        values = [one.value for one in self.parameters.values()]
        return _CURVES[self.curve][1](np.asarray(x, dtype=float), *values)


def fit(curve: Curve, x: ArrayLike, table: ArrayLike) -> Fit:
    """Fit the mean over seeds; intervals by the jackknife over seeds. Raises ValueError where x or y is not positive.

    Both curves are straight lines after a change of scales (logarithms; Hanes, 1932, Biochem. J. 26, 1406), which give
    the start of a least-squares fit on the scale of the metric.
    """
    places, values = np.asarray(x, dtype=float), np.asarray(table, dtype=float)
    if (places <= 0).any() or (values.mean(axis=0) <= 0).any():
        raise ValueError(f"a {curve} curve takes positive levels and positive means")
    if len(places) < 3:
        raise ValueError(f"a {curve} curve takes three or more levels, got {len(places)}")
    names = _CURVES[curve][0]
    found = jackknife(values, lambda rows: _fitted(curve, places, rows.mean(axis=0)))
    return Fit(curve, dict(zip(names, found, strict=True)), _held_out(curve, places, values.mean(axis=0)))


def _power(x: Floats, scale: float, exponent: float) -> Floats:
    return scale * x**exponent


def _saturating(x: Floats, top: float, half: float) -> Floats:
    return top * x / (half + x)


_CURVES: dict[str, tuple[tuple[str, str], Callable[..., Floats]]] = {
    "power": (("scale", "exponent"), _power),
    "saturating": (("top", "half"), _saturating),
}


def _fitted(curve: Curve, x: Floats, y: Floats) -> Floats:
    from scipy.optimize import least_squares

    function = _CURVES[curve][1]
    found = least_squares(lambda p: function(x, *p) - y, _start(curve, x, y), x_scale="jac")
    return np.asarray(found.x)


def _start(curve: Curve, x: Floats, y: Floats) -> Floats:
    if curve == "power":
        exponent, scale = np.polyfit(np.log(x), np.log(y), 1)
        return np.array([np.exp(scale), exponent])
    flat, rise = np.polyfit(x, x / y, 1)  # x / y = half / top + x / top
    top = 1 / flat if flat > 0 else 2 * y.max()
    return np.array([top, max(rise, 1e-9) * top])


def _held_out(curve: Curve, x: Floats, y: Floats) -> float:
    errors = []
    for i in range(len(x)):
        parameters = _fitted(curve, np.delete(x, i), np.delete(y, i))
        errors.append(_CURVES[curve][1](x[i], *parameters) - y[i])
    return float(np.sqrt(np.mean(np.square(errors))))

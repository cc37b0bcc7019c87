"""How often the intervals cover and the tests reject, by simulation: the table of docs/claims.md.

Noise is normal, skewed (Gumbel, skewness 1.14) or very skewed (exponential, skewness 2), each with mean 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from analysis import comparisons, intervals, stats, trends

SIZES = (5, 8, 20)
NOISES: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda random, shape: random.normal(0, 1, shape),
    "skewed": lambda random, shape: random.gumbel(-np.euler_gamma, 1, shape),
    "very skewed": lambda random, shape: random.exponential(1, shape) - 1,
}
MEDIANS = {"normal": 0.0, "skewed": -np.log(np.log(2)) - np.euler_gamma, "very skewed": np.log(2) - 1}
LEVELS = np.array([1.0, 2, 4, 8])


class Row(NamedTuple):
    name: str
    used: bool  # for verdicts
    rates: dict[tuple[str, int], float]  # noise and replicates -> share


class Draw:
    """One simulated data set."""

    def __init__(self, noise: str, n: int, number: int) -> None:
        self.noise, self.n = noise, n
        self.random = np.random.default_rng([n, number, *map(ord, noise)])

    def __call__(self, *shape: int, size: float = 1.0, top: float = 0.0) -> np.ndarray:
        return top + size * NOISES[self.noise](self.random, (self.n, *shape))


def covered(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def extreme(draw: Draw) -> bool:
    from analysis.simultaneous import Extreme

    a, b, c = draw(), draw(), draw()
    pair = (
        ((stats.difference(a, b, paired=True),),),
        ((stats.difference(a, c, paired=True),),),
    )
    return covered(Extreme(pair).interval(), 0.0)


def truth_of(statistic: str, noise: str) -> float:
    if statistic == "mean":
        return 0.0
    if statistic == "median":
        return MEDIANS[noise]
    return float(intervals.iqm(NOISES[noise](np.random.default_rng(0), 1_000_000)))


def exponent(draw: Draw) -> bool:
    table = 3 * LEVELS**-0.5 + 0.05 * draw(4)
    return covered(trends.fit("power", LEVELS, table).parameters["exponent"].interval(), -0.5)


COVERAGE: list[tuple[str, bool, int, Callable[[Draw], bool]]] = [
    ("one mean, t and Hall together", True, 10_000, lambda d: covered(stats.skewed_mean(d()).interval(), 0)),
    ("paired difference, t", True, 10_000, lambda d: covered(stats.difference(d(), d(), paired=True).interval(), 0)),
    ("difference, Welch", True, 10_000, lambda d: covered(stats.difference(d(), d(), paired=False).interval(), 0)),
    (
        "paired ratio, Fieller",
        True,
        10_000,
        lambda d: covered(stats.ratio(d(top=12), d(top=6), paired=True).interval(), 2),
    ),
    ("trend over four levels, t", True, 10_000, lambda d: covered(stats.trend(d(4)).interval(), 0)),
    ("best of several", True, 10_000, extreme),
    ("mean, t", False, 5000, lambda d: covered(stats.mean(d()).interval(), 0)),
    ("mean, percentile bootstrap", False, 1000, lambda d: covered(intervals.bootstrap(d(), "mean", "percentile"), 0)),
    ("mean, BCa bootstrap", False, 1000, lambda d: covered(intervals.bootstrap(d(), "mean", "BCa"), 0)),
    (
        "median, BCa bootstrap",
        False,
        1000,
        lambda d: covered(intervals.bootstrap(d(), "median", "BCa"), truth_of("median", d.noise)),
    ),
    ("median, order statistics", False, 2500, lambda d: covered(intervals.median(d()), truth_of("median", d.noise))),
    (
        "interquartile mean, BCa bootstrap",
        False,
        1000,
        lambda d: covered(intervals.bootstrap(d(), "iqm"), IQM[d.noise]),
    ),
    (
        "interquartile mean, stratified over 5 cells",
        False,
        1000,
        lambda d: covered(intervals.stratified([d() for _ in range(5)], "iqm", resamples=1000), IQM[d.noise]),
    ),
    ("probability of improvement", False, 2500, lambda d: covered(comparisons.improvement_interval(d(), d()), 0.5)),
    ("slope, t", False, 5000, lambda d: covered(trends.slope(LEVELS, d(4)).interval(), 0)),
    (
        "peak of a parabola, Fieller",
        False,
        2500,
        lambda d: covered(trends.peak(LEVELS, -((LEVELS - 4) ** 2) + d(4)).interval(), 4),
    ),
    (
        "threshold, jackknife",
        False,
        2000,
        lambda d: covered(trends.threshold(LEVELS, LEVELS + 0.3 * d(4), 3.0).interval(), 3),
    ),
    ("exponent of a power law, jackknife", False, 500, exponent),
]

TESTS: list[tuple[str, bool, int, Callable[[Draw], float]]] = [
    ("paired difference, t", True, 10_000, lambda d: stats.difference(d(), d(), paired=True).p_value()),
    ("difference, Welch", True, 10_000, lambda d: stats.difference(d(), d(), paired=False).p_value()),
    (
        "equality, two one-sided tests",
        True,
        10_000,
        lambda d: comparisons.equivalence(d(top=2), d(), 2, paired=True),
    ),
    ("trend over four levels, t", True, 10_000, lambda d: stats.trend(d(4)).p_value()),
    ("permutation, paired", False, 10_000, lambda d: comparisons.permutation(d(), d(), paired=True, resamples=499)),
    ("permutation, unpaired", False, 10_000, lambda d: comparisons.permutation(d(), d(), paired=False, resamples=499)),
    ("Page's trend", False, 2000, lambda d: trends.page(d(4))),
    ("Jonckheere's trend", False, 1000, lambda d: trends.jonckheere(list(d(4).T), permutations=99)),
]

IQM = {noise: truth_of("iqm", noise) for noise in NOISES}


def _rates(number: int, one: Callable[[Draw], bool]) -> dict[tuple[str, int], float]:
    draws = ((noise, n) for noise in NOISES for n in SIZES)
    return {(noise, n): float(np.mean([one(Draw(noise, n, i)) for i in range(number)])) for noise, n in draws}


def coverage(used: bool | None = None) -> Iterator[Row]:
    """Of nominal 95 % intervals. ``used``: only those that verdicts use, or do not use."""
    for name, its, number, one in COVERAGE:
        if used is None or its is used:
            yield Row(name, its, _rates(number, one))


def size(used: bool | None = None) -> Iterator[Row]:
    """How often tests at 5 % reject what is true."""
    for name, its, number, one in TESTS:
        if used is None or its is used:
            yield Row(name, its, _rates(number, lambda draw, one=one: one(draw) <= 0.05))


def table(title: str, rows: Iterable[Row]) -> str:
    """In Markdown, in percent."""
    columns = [(noise, n) for noise in NOISES for n in SIZES]
    lines = [
        f"| {title} | " + " | ".join(f"{noise} {n}" for noise, n in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for row in rows:
        name = f"**{row.name}**" if row.used else row.name
        lines.append(f"| {name} | " + " | ".join(f"{100 * row.rates[key]:.1f}" for key in columns) + " |")
    return "\n".join(lines)

"""Statistics on data whose answer is known, or which another library computes."""

import math

import numpy as np
import pytest
import scipy.stats

from analysis import comparisons, intervals, stats, trends

LEVELS = np.array([1.0, 2, 4, 8, 16])


@pytest.fixture
def random():
    return np.random.default_rng(4)


def test_interquartile_mean_is_the_mean_of_the_middle_half():
    assert intervals.iqm([100, 1, 2, 3, 4, 5, 6, -100]) == pytest.approx(3.5)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
@pytest.mark.parametrize("statistic", ["mean", "median", "iqm"])
def test_bootstrap_repeats_and_nears_t_for_many_values(statistic, method, random):
    values = random.normal(3, 1, 200)
    low, high = found = intervals.bootstrap(values, statistic, method)
    assert found == intervals.bootstrap(values, statistic, method)
    assert low < 3 < high
    if statistic == "mean":
        assert found == pytest.approx(stats.mean(values).interval(), abs=0.03)


def test_bootstrap_without_variance_or_values():
    assert intervals.bootstrap([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert all(map(math.isnan, intervals.bootstrap([2.0])))
    assert all(map(math.isnan, intervals.bootstrap([2.0, math.nan])))


def test_stratified_bootstrap_leaves_out_the_differences_between_cells(random):
    """Two cells that are far apart and have little noise: pooled, the interval would be hundreds wide."""
    cells = [random.normal(mean, 0.1, 10) for mean in (0, 1000)]
    low, high = intervals.stratified(cells, "mean")
    assert low < 500.03 < high
    assert high - low < 0.3


def test_median_interval_is_that_of_the_binomial_distribution():
    """Conover's table: of ten values the second and the ninth are a 97.9 % interval."""
    assert intervals.median(range(10)) == (1, 8)
    assert intervals.median(range(6)) == (0, 5)
    assert intervals.median(range(5)) == (-math.inf, math.inf)


def test_permutation_is_exact_for_few_replicates():
    assert comparisons.permutation([4, 5, 6], [1, 2, 3], paired=False) == pytest.approx(2 / 20)
    assert comparisons.permutation([4, 6, 8, 10, 12], [1, 2, 3, 4, 5], paired=True) == pytest.approx(2 / 32)


def test_permutation_nears_t_for_many_replicates(random):
    a, b = random.normal(0.5, 1, 30), random.normal(0, 1, 30)
    assert comparisons.permutation(a, b, paired=True) == pytest.approx(
        stats.difference(a, b, paired=True).p_value(), abs=0.01
    )


def test_probability_of_improvement():
    assert comparisons.probability_of_improvement([1, 2, 3], [0, 2]) == pytest.approx(4.5 / 6)
    known = scipy.stats.mannwhitneyu([1, 2, 3], [0, 2]).statistic
    assert comparisons.probability_of_improvement([1, 2, 3], [0, 2]) == pytest.approx(known / 6)
    low, high = comparisons.improvement_interval([4, 5, 6], [1, 2, 3])
    variance = low * (1 - low) / 9 * (1 + 2 * ((1 - low) / (2 - low) + low / (1 + low)))
    assert (1 - low, high) == (pytest.approx(1.96 * math.sqrt(variance), rel=1e-3), 1.0)
    assert comparisons.improvement_interval([1, 2, 3], [4, 5, 6]) == pytest.approx((1 - high, 1 - low))


def test_hedges_g():
    """Means 1 apart, pooled deviation 1: only the correction 1 - 3 / (4 * 4 - 1) is left."""
    assert comparisons.hedges_g([1, 2, 3], [0, 1, 2]) == pytest.approx(0.8)


@pytest.mark.parametrize("margin", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("shift", [0.0, 0.5, -1.0])
def test_equivalence_is_the_larger_of_two_one_sided_tests(margin, shift, random):
    a = random.normal(shift, 0.5, 9)
    b = np.zeros(9)
    below = scipy.stats.ttest_1samp(a, -margin, alternative="greater").pvalue
    above = scipy.stats.ttest_1samp(a, margin, alternative="less").pvalue
    assert comparisons.equivalence(a, b, margin, paired=True) == pytest.approx(max(below, above))


def test_benjamini_hochberg_example():
    """The example of R's p.adjust(c(0.01, 0.02, 0.03, 0.5), "BH")."""
    assert comparisons.benjamini_hochberg([0.01, 0.02, 0.03, 0.5]) == pytest.approx([0.04, 0.04, 0.04, 0.5])
    assert comparisons.benjamini_hochberg([]) == []
    assert comparisons.benjamini_hochberg([0.01, math.nan]) == pytest.approx([0.02, 1.0])


def test_trends_are_seen_and_not_invented(random):
    rising = random.normal(size=(8, 5)) + np.arange(5)
    flat = random.normal(size=(8, 5))
    assert trends.page(rising) < 0.001
    assert trends.page(flat) > 0.05
    assert trends.jonckheere(list(rising.T)) < 0.001
    assert trends.jonckheere(list(rising[:, ::-1].T)) > 0.99
    assert trends.jonckheere([[1, 1], [1, 1]]) == 1.0


def test_jonckheere_is_exact_in_the_smallest_case():
    """Six ways to place two values in two groups of one and two: the largest statistic has one of three."""
    assert trends.jonckheere([[1], [2, 3]]) == pytest.approx(1 / 3, abs=0.02)


def test_slope_is_per_unit(random):
    table = 3 * LEVELS + random.normal(size=(6, 1))
    found = trends.slope(LEVELS, table)
    assert found.value == pytest.approx(3)
    assert found.interval() == pytest.approx((3, 3))


def test_peak_of_a_parabola(random):
    table = -((LEVELS - 6.5) ** 2) + random.normal(0, 0.5, size=(8, 5))
    found = trends.peak(LEVELS, table)
    low, high = found.interval()
    assert low < 6.5 < high
    assert high - low < 1
    straight = LEVELS + random.normal(size=(8, 5))
    assert trends.peak(LEVELS, straight).interval() == (-math.inf, math.inf)


def test_threshold_is_where_the_line_crosses(random):
    table = LEVELS + random.normal(0, 0.2, size=(10, 1))
    found = trends.threshold(LEVELS, table, 6.0)
    low, high = found.interval()
    assert low < 6 < high
    assert found.error == pytest.approx(table[:, 0].std(ddof=1) / math.sqrt(10), rel=1e-6)  # that of a mean
    assert math.isnan(trends.threshold(LEVELS, table, 100).value)


@pytest.mark.parametrize(
    ("curve", "function", "parameters"),
    [
        ("power", lambda x: 2 * x**-0.5, {"scale": 2, "exponent": -0.5}),
        ("saturating", lambda x: 5 * x / (3 + x), {"top": 5, "half": 3}),
    ],
)
def test_fits_find_the_curve_that_made_the_data(curve, function, parameters, random):
    exact = trends.fit(curve, LEVELS, function(LEVELS)[None].repeat(3, axis=0))
    assert exact.held_out == pytest.approx(0, abs=1e-6)
    assert exact(LEVELS) == pytest.approx(function(LEVELS))
    noisy = trends.fit(curve, LEVELS, function(LEVELS) * random.normal(1, 0.02, size=(10, 5)))
    for name, value in parameters.items():
        low, high = noisy.parameters[name].interval()
        assert low < value < high
    other = "saturating" if curve == "power" else "power"
    assert trends.fit(other, LEVELS, function(LEVELS)[None]).held_out > 10 * noisy.held_out / 3


def test_fits_say_what_they_cannot_take():
    with pytest.raises(ValueError, match="positive levels"):
        trends.fit("power", [0, 1, 2], np.ones((3, 3)))
    with pytest.raises(ValueError, match="three or more levels, got 2"):
        trends.fit("power", [1, 2], np.ones((3, 2)))

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from analysis import stats

A = np.array([5.1, 4.9, 6.2, 5.7, 5.5, 5.0, 6.0])
B = np.array([4.1, 4.6, 5.9, 4.7, 4.2, 5.1, 5.2])

samples = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=3, max_size=12).filter(
    lambda x: np.std(x) > 0.01
)


def test_mean_is_students_interval():
    known = scipy.stats.ttest_1samp(A, 5.0)
    found = stats.mean(A)
    assert found.interval(0.95) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert found.p_value(5.0) == pytest.approx(known.pvalue)
    assert found.count == 7


def test_sleep_data_of_student_1908():
    """The ten patients of Student's paper, as in R's t.test(extra ~ group, paired = TRUE)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    paired = stats.difference(first, second, paired=True)
    assert paired.value == pytest.approx(-1.58)
    assert paired.p_value() == pytest.approx(0.002833, abs=1e-6)
    assert paired.interval() == pytest.approx((-2.4598858, -0.7001142), abs=1e-6)
    welch = stats.difference(first, second, paired=False)
    assert welch.freedom == pytest.approx(17.776, abs=1e-3)
    assert welch.p_value() == pytest.approx(0.07939, abs=1e-5)


@given(samples, samples)
def test_welch_equals_scipy(a, b):
    known = scipy.stats.ttest_ind(a, b, equal_var=False)
    found = stats.difference(a, b, paired=False)
    assert found.p_value() == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    assert found.interval(0.9) == pytest.approx(tuple(known.confidence_interval(0.9)), rel=1e-6, abs=1e-9)


def effects(a, b):
    yield stats.mean(a)
    yield stats.skewed_mean(a)
    yield stats.difference(a, b, paired=False)
    yield stats.ratio(a, np.asarray(b) + 300, paired=False)
    n = min(len(a), len(b))
    yield stats.ratio(a[:n], np.asarray(b)[:n] + 300, paired=True)


@given(samples, samples, st.floats(0.5, 0.99))
def test_the_interval_ends_where_the_p_value_says(a, b, level):
    for effect in effects(a, b):
        low, high = effect.interval(level)  # of a ratio over what may be zero without ends; one point if nothing varies
        for bound in filter(math.isfinite, (low, high) if low < high else ()):
            assert effect.p_value(bound) == pytest.approx(1 - level, rel=1e-3)


@pytest.mark.parametrize("paired", [True, False])
def test_fieller_covers_the_true_ratio(paired):
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        shared = random.normal(0, 0.5, 8) * paired
        low, high = stats.ratio(
            random.normal(6, 1, 8) + shared, random.normal(3, 0.5, 8) + shared, paired=paired
        ).interval()
        hits += low <= 2 <= high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


def test_a_ratio_over_what_may_be_zero_is_unbounded():
    found = stats.ratio([1.0, 1.1, 0.9], [-1.0, 1.2, 0.1], paired=True)
    assert found.interval() == (-math.inf, math.inf)
    assert found.p_value(100.0) > 0.05


def test_a_ratio_takes_zeros_above():
    found = stats.ratio([0.0, 0.0, 0.1, 0.0], [0.5, 0.6, 0.4, 0.5], paired=True)
    low, high = found.interval()
    assert found.value == pytest.approx(0.05)
    assert low < 0.05 < high < 0.3


def test_one_replicate_has_no_interval():
    for effect in (
        stats.mean([3.0]),
        stats.difference([3.0], [2.0], paired=True),
        stats.ratio([3.0], [2.0], paired=True),
    ):
        assert math.isfinite(effect.value)
        assert all(math.isnan(bound) for bound in (*effect.interval(), effect.p_value()))


@pytest.mark.parametrize("values", [[], [1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_no_value_and_no_finite_value_give_nan(values):
    found = stats.mean(values)
    assert math.isnan(found.value)
    assert math.isnan(found.p_value())


def test_an_interval_leans_to_the_side_of_the_skewness():
    skewed = [0.1, 0.2, 0.3, 0.4, 3.0]
    plain, found = stats.mean(skewed), stats.skewed_mean(skewed)
    assert found.skewness > 1
    assert plain.interval()[0] == found.interval()[0] < found.value < plain.interval()[1] < found.interval()[1]
    mirrored = stats.skewed_mean([-x for x in skewed]).interval()
    assert mirrored == pytest.approx((-found.interval()[1], -found.interval()[0]))


def test_an_interval_never_decides_more_than_students():
    random = np.random.default_rng(5)
    for values in random.exponential(1, (50, 6)):
        plain, found = stats.mean(values), stats.skewed_mean(values)
        for bound in (0.5, 1.0, 2.0):
            assert found.p_value(bound) >= plain.p_value(bound)
        for level in (0.6, 0.95, 0.999):
            assert found.interval(level)[0] <= plain.interval(level)[0]
            assert found.interval(level)[1] >= plain.interval(level)[1]


def test_without_skewness_the_interval_is_students():
    values = [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert stats.skewed_mean(values).interval() == pytest.approx(stats.mean(values).interval())
    assert stats.skewed_mean(values).p_value(1.0) == pytest.approx(stats.mean(values).p_value(1.0))
    assert stats.skewed_mean([2.0, 2.0, 2.0]).interval() == (2.0, 2.0)
    assert stats.skewed_mean([1.0, 2.0]).interval() == pytest.approx(stats.mean([1.0, 2.0]).interval())


def test_without_variance_the_interval_is_the_value():
    found = stats.mean([2.0, 2.0, 2.0])
    assert found.interval() == (2.0, 2.0)
    assert (found.p_value(2.0), found.p_value(1.0)) == (1.0, 0.0)
    assert stats.difference([2.0, 2.0], [2.0, 2.0], paired=False).interval() == (0.0, 0.0)


def test_rounding_errors_are_no_difference():
    a = [0.1 + 0.2, 0.7 + 0.1, 0.5]
    b = [0.3, 0.8, 0.5]
    assert stats.difference(a, b, paired=True).value == 0
    assert stats.trend(np.column_stack([a, b, a])).p_value() == 1


def test_trend_is_the_mean_of_the_slopes():
    table = np.random.default_rng(1).normal(size=(6, 4)) + np.arange(4) * 0.8
    slopes = [scipy.stats.linregress(range(4), row).slope for row in table]
    known = scipy.stats.ttest_1samp(slopes, 0)
    found = stats.trend(table)
    assert found.value == pytest.approx(np.mean(slopes))
    assert found.p_value() == pytest.approx(known.pvalue)
    assert found.count == 6


def test_equality_is_two_one_sided_tests():
    differences, margin = A - B - 0.6, 0.6
    below = scipy.stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    above = scipy.stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert stats.p_of_region(stats.mean(differences), -margin, margin) == pytest.approx(2 * max(below, above))


def test_holm_example():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.5, math.nan]) == [1.0, 1.0]
    assert stats.holm([]) == stats.holm_levels([]) == []


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_levels_and_adjusted_p_values_decide_alike(p):
    for raw, adjusted, level in zip(p, stats.holm(p), stats.holm_levels(p), strict=True):
        assert 0.95 <= level < 1
        if abs(adjusted - 0.05) > 1e-9:
            assert (adjusted <= 0.05) == (raw <= 1 - level + 1e-12)


def test_holm_bounds_the_chance_of_any_error():
    p = np.random.default_rng(3).uniform(size=(2000, 5))
    errors = [min(stats.holm(row.tolist())) <= 0.05 for row in p]
    assert np.mean(errors) == pytest.approx(0.05, abs=0.012)

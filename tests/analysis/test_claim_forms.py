"""The claims that look at more than two sides: groups, peaks, fronts, correlations."""

import numpy as np
import pytest
import scipy.stats
from synthetic import Folder, lock

from analysis import correlation, stats
from analysis.frames import load
from analysis.simultaneous import Extreme
from analysis.verdicts import verdicts

MODELS, WIDTHS, SEEDS = ("mlp", "cnn"), (4, 8, 16, 32, 64), range(1000, 1008)
PEAK = {"expect": "peaks_at", "metric": "m", "along": "width"}
FRONT = {"expect": "front_dominates", "metrics": ["m/test", "cost/test"], "where": {"model": "cnn"}}
FRONT["against"] = {"model": "mlp"}
CORRELATION = {"expect": "correlation_at_least", "metrics": ["m", "n"]}


def judge(path, metrics, *claims, objective=None):
    """``metrics(model, width, seed)`` gives those of each confirm trial."""
    named = [{"name": f"{i}", **claim} for i, claim in enumerate(claims)]
    factors = {"model": list(MODELS), "width": [str(width) for width in WIDTHS]}
    folder = Folder(path, lock(factors, claims=named, **({"objective": objective} if objective else {})))
    for model in MODELS:
        for width in WIDTHS:
            cell = f"{model}{width}"
            folder.decide("cell", cell=cell, levels={"model": model, "width": str(width)})
            folder.decide("asked", cell=cell, number=0, point="p", params={})
            folder.plan(f"{cell}-tune", cell, "tune", "p", 0)
            folder.run(f"{cell}-tune", [dict.fromkeys(metrics(model, width, 0), 1e6)])
            folder.decide("winner", cell=cell, points=["p"])
            for seed in SEEDS:
                folder.plan(f"{cell}-{seed}", cell, "confirm", "p", seed)
                folder.run(f"{cell}-{seed}", [metrics(model, width, seed)])
    return verdicts(load(path))


def noise(*key, size=0.1):
    return float(np.random.default_rng(key).normal(0, size))


def humped(model, width, seed):
    """Highest at a width of 16, by 0.5 per level."""
    return {"m": -0.5 * abs(np.log2(width) - 4) + noise(seed, width, model == "cnn")}


@pytest.mark.parametrize(
    ("bounds", "verdict", "lead"),
    [
        ({"low": 8, "high": 32}, "holds", 1.0),
        ({"low": 16, "high": 16}, "holds", 0.5),
        ({"low": "16/2", "high": 16}, "holds", 0.5),
        ({"high": 8}, "fails", 0.5),
        ({"low": 32}, "fails", 0.5),
    ],
)
def test_peaks(tmp_path, bounds, verdict, lead):
    (found,) = judge(tmp_path, humped, {**PEAK, **bounds})
    assert found.verdict == verdict
    assert found.low <= found.effect <= found.high
    assert abs(found.effect) == pytest.approx(lead, abs=0.1)


def test_a_flat_curve_has_no_peak(tmp_path):
    (found,) = judge(tmp_path, lambda _, width, seed: {"m": noise(seed, width)}, {**PEAK, "low": 8, "high": 16})
    assert found.verdict == "undecided"
    assert found.more is None or found.more > 0


def test_a_peak_needs_levels_on_both_sides(tmp_path):
    every, none = judge(tmp_path, humped, {**PEAK, "low": 4}, {**PEAK, "low": 17, "high": 20})
    assert every.reason == "all selected levels of width are inside the range"
    assert none.reason == "all selected levels of width are outside the range"


def fronts(model, width, seed):
    """The cnn is better by 1 at every width and costs 10 less; mlps of other widths cost more for less."""
    cost = width + noise(seed, width) - (10 if model == "cnn" else 0)
    return {"m/test": np.log2(width) + (model == "cnn") + noise(seed, width, 1), "cost/test": cost}


GOALS = [{"maximize": "m/validation"}, {"minimize": "cost/validation"}]


def test_a_front_dominates(tmp_path):
    back = {**FRONT, "where": FRONT["against"], "against": FRONT["where"]}
    ahead, behind = judge(tmp_path, fronts, FRONT, back, objective=GOALS)
    assert (ahead.verdict, behind.verdict) == ("holds", "fails")
    assert behind.high < 0 < ahead.low


def test_a_front_that_is_behind_in_one_metric_does_not_dominate(tmp_path):
    def metrics(model, width, seed):
        return {**fronts(model, width, seed), "cost/test": width + (30 if model == "cnn" else 0) + noise(seed, width)}

    (found,) = judge(tmp_path, metrics, FRONT, objective=GOALS)
    assert found.verdict == "fails"


def test_a_front_needs_to_know_the_goals(tmp_path):
    (found,) = judge(tmp_path, fronts, FRONT)
    assert found.reason == "m/test is no objective, so there is no telling which end of it is better"


def test_correlations_are_over_cells_within_each_seed(tmp_path):
    """What the seeds share, here a large effect of the seed on both metrics, is no correlation between cells."""

    def metrics(model, width, seed):
        shared = 100 * noise(seed)
        return {"m": shared + width + noise(seed, width), "n": shared - width**2}

    low, high = judge(tmp_path, metrics, {**CORRELATION, "low": -1}, {**CORRELATION, "low": 0.9})
    assert (low.verdict, high.verdict) == ("holds", "fails")
    assert low.effect == pytest.approx(-1, abs=0.1)
    assert low.low >= -1


def test_a_correlation_needs_cells_that_differ(tmp_path):
    where = {"model": "cnn", "width": "< 16"}
    few, same = judge(
        tmp_path,
        lambda _, width, seed: {"m": 1.0, "n": width + noise(seed)},
        {**CORRELATION, "low": 0, "where": where},
        {**CORRELATION, "low": 0},
    )
    assert few.reason == "a correlation needs 3 cells, and there are 2"
    assert same.reason == "one of the metrics is the same in all cells"


def test_seeds_that_agree_fully_do_not_prove_a_correlation_of_one(tmp_path):
    """Ten cells, the same order in eight seeds: the chance of a swap may still be a third, at 95 %."""

    def metrics(model, width, seed):
        place = np.log2(width) + 10 * (model == "cnn")
        return {"m": place, "n": place + noise(seed, width, size=0.01)}

    high, highest = judge(tmp_path, metrics, {**CORRELATION, "low": 0.99}, {**CORRELATION, "low": 0.9999})
    assert (high.verdict, highest.verdict) == ("holds", "undecided")
    assert high.effect == 1
    assert 0.985 < high.low < 1 - 0.3 * 12 / 990


def test_rank_correlation_is_that_of_scipy():
    random = np.random.default_rng(6)
    a, b = random.integers(0, 5, size=(2, 30, 9))
    known = [scipy.stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert correlation.spearman(a, b) == pytest.approx(known)
    assert np.isnan(correlation.spearman([1, 1, 1], [1, 2, 3]))


def test_a_correlation_in_one_seed_has_no_interval():
    found = correlation.mean([0.5], 6)
    assert found.value == 0.5
    assert np.isnan([*found.interval(), found.p_value()]).all()


# --- each ------------------------------------------------------------------------------------------------------------

EACH = {"metric": "m", "where": {"model": "cnn"}, "against": {"model": "mlp"}, "expect": "greater", "over": "each"}


def better_where(ahead):
    def metrics(model, width, seed):
        return {"m": (model == "cnn") * (1.0 if width in ahead else -1.0) + noise(seed, width, model == "cnn")}

    return metrics


def test_each_holds_only_if_every_level_does(tmp_path):
    (holds,) = judge(tmp_path / "a", better_where(WIDTHS), EACH)
    assert holds.verdict == "holds"
    (fails,) = judge(tmp_path / "b", better_where((4, 8, 16, 64)), EACH)
    assert (fails.verdict, fails.reason) == ("fails", "where width = 32")
    assert fails.level == pytest.approx(1 - 0.05 / 5)  # of one group among five
    (pooled,) = judge(tmp_path / "c", better_where((4, 8, 16, 64)), {**EACH, "over": "pooled"})
    assert pooled.verdict == "holds"


def test_each_is_undecided_where_one_level_is(tmp_path):
    def metrics(model, width, seed):
        return {"m": (model == "cnn") * (width != 8) + noise(seed, width, model == "cnn")}

    (found,) = judge(tmp_path, metrics, EACH)
    assert (found.verdict, found.reason, found.level) == ("undecided", "where width = 8", 0.95)


def test_each_needs_both_sides(tmp_path):
    (found,) = judge(tmp_path, humped, {**EACH, "where": {"model": "cnn", "width": "> 4"}, "against": {"model": "mlp"}})
    assert found.verdict != "untestable"  # width is named, so there is no other factor
    narrow = {"metric": "m", "where": {"width": 4}, "expect": "between", "low": -2, "high": 0, "over": "each"}
    (per_model,) = judge(tmp_path / "b", humped, narrow)
    assert per_model.verdict in ("holds", "undecided")
    assert per_model.reason in ("where model = mlp", "where model = cnn")


def test_comparisons_choose_cells(tmp_path):
    (found,) = judge(
        tmp_path,
        lambda _, width, seed: {"m": float(width >= 16) + noise(seed, width)},
        {"metric": "m", "where": {"width": ">= 16"}, "against": {"width": "< 16"}, "expect": "greater"},
    )
    assert found.effect == pytest.approx(1, abs=0.1)


def test_tune_replicates_cannot_be_used(tmp_path):
    """Those that chose the winner flatter it: here they are a million, and no verdict knows."""
    (found,) = judge(tmp_path, humped, {"metric": "m", "expect": "between", "high": 0.5})
    assert (found.verdict, found.replicates) == ("holds", len(SEEDS))
    assert found.high < 0.5


# --- the interval of an extreme --------------------------------------------------------------------------------------


def test_extreme_interval_and_p_value_agree():
    random = np.random.default_rng(0)
    effects = tuple(
        tuple(tuple(stats.mean(random.normal(k / 2, 1, 6)) for k in range(2)) for _ in range(3)) for _ in range(4)
    )
    extreme = Extreme(effects)
    assert (extreme.count, extreme.freedom) == (6, 5)
    for level in (0.9, 0.99):
        low, high = extreme.interval(level)
        assert low < extreme.value < high
        assert extreme.p_value(low) == pytest.approx(1 - level)
        assert extreme.p_value(high) == pytest.approx(1 - level)


def test_extreme_covers_the_true_extreme():
    """Best level inside minus best outside, with two equal best levels on each side: the hardest case."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        columns = random.normal([1, 1, 0, 1, 1], 1, size=(8, 5)).T
        pairs = [[(stats.difference(a, b, paired=True),) for a in columns[:2]] for b in columns[2:]]
        low, high = Extreme(tuple(map(tuple, pairs))).interval()
        hits += low <= 0 <= high
    assert hits / 400 >= 0.93

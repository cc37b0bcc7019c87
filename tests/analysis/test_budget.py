import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import Folder, lock

from analysis import selection
from analysis.agreement import kendall, tau_interval
from analysis.answers import rows
from analysis.budget import doubling, expected_best, optimism, rank_agreement, sentences
from analysis.frames import load
from analysis.plates import plates


def made(path, merit, *, cells=2, points=16, tries=1, seeds=8, noise=1.0, seed=0, ending=lambda _: "done"):
    """Sweeps that maximize ``merit(cell, n)`` of point n plus normal noise."""
    names = [f"c{n}" for n in range(cells)]
    folder = Folder(path, lock({"f": names}, objective={"maximize": "m"}))
    random = np.random.default_rng(seed)
    for c, cell in enumerate(names):
        folder.decide("cell", cell=cell, levels={"f": cell})
        means = []
        for n in range(points):
            values = merit(c, n) + random.normal(0, noise, tries)
            means.append(float(values.mean()) if ending(n) == "done" else -math.inf)
            for i, value in enumerate(values.tolist()):
                folder.plan(f"{cell}-{n}-{i}", cell, "tune", f"p{n}", i)
                folder.run(f"{cell}-{n}-{i}", [{"m": value}], ending(n))
        best = int(np.argmax(means))
        folder.decide("winner", cell=cell, points=[f"p{best}"])
        for s in range(1000, 1000 + seeds):
            folder.plan(f"{cell}-s{s}", cell, "confirm", f"p{best}", s)
            folder.run(f"{cell}-s{s}", [{"m": merit(c, best) + float(random.normal(0, noise))}])
    return load(path)


def nothing(_cell, _point):
    return 0.0


def whole(run):
    found = expected_best(run)
    return found[found["budget"] == found["budget"].max()]


@pytest.mark.parametrize(("tries", "seeds", "method"), [(1, 8, "confirm seeds"), (3, 0, "tune seeds")])
def test_without_true_differences_the_naive_best_is_biased_and_ours_is_not(tmp_path, tries, seeds, method):
    """Forty cells of sixteen points that are all worth 0: the naive best is far above, ours is 0 within its error."""
    found = whole(made(tmp_path, nothing, cells=40, tries=tries, seeds=seeds))
    error = found["value"].std() / math.sqrt(len(found))
    assert set(found["method"]) == {method}
    assert found["naive"].mean() == pytest.approx(1.766 / math.sqrt(tries), abs=0.2)  # the mean maximum of 16 normals
    assert abs(found["value"].mean()) < 3 * error < 0.45
    assert ((found["low"] < 0) & (found["high"] > 0)).mean() > 0.8


def test_the_figure_shows_the_bias_where_nothing_differs(tmp_path):
    """In the figure of a sweep without true differences, our curves end around 0, the dotted ones far above."""
    run = made(tmp_path, nothing, cells=6, points=32)
    (plate,) = (plate for plate in plates(run, rows(run), []) if plate.title == "Whether the budget sufficed")
    ends = np.array([[line.get_ydata()[-1] for line in axes.lines] for axes in plate.panels[0].figure.axes])
    assert ends.shape == (6, 2)
    assert abs(ends[:, 0].mean()) < 0.6
    assert ends[:, 1].min() > 1.0  # the mean maximum of 32 normals is 2.1
    assert "too good" in plate.caption


def test_true_differences_are_not_corrected_away(tmp_path):
    found = whole(made(tmp_path, lambda _, n: float(n), cells=8, noise=0.1))
    assert found["value"].tolist() == pytest.approx([15.0] * 8, abs=0.2)


def test_the_naive_curve_is_the_mean_over_all_subsets():
    from itertools import combinations

    values = np.random.default_rng(0).normal(size=6)
    found = selection.naive(values, selection.budgets(6))
    known = [np.mean([max(some) for some in combinations(values, k)]) for k in range(1, 7)]
    assert found == pytest.approx(known)


def test_points_that_cannot_be_chosen_take_up_budget():
    values, sizes = np.array([1.0, 2.0]), np.arange(1, 5)
    found = selection.naive(values, sizes, idle=2)
    # Of the six pairs of four points, three hold the 2 and two more hold the 1.
    assert found == pytest.approx([1.5, (3 * 2 + 2 * 1) / 5, (3 * 2 + 1) / 4, 2.0])


def test_budgets_hold_half_and_whole():
    for points in (1, 2, 7, 33, 1000, 12345):
        found = selection.budgets(points)
        assert {1, max(1, points // 2), points} <= set(found.tolist())
        assert len(found) <= 34
        assert (np.diff(found) > 0).all()


def test_thousands_of_points_are_quick_and_finite():
    random = np.random.default_rng(0)
    values, unknown = random.normal(size=10_000), np.full(10_000, math.nan)
    sizes = selection.budgets(10_000)
    curve = selection.by_noise(values, unknown, unknown, 0.5, sizes, 100, random)
    assert np.isfinite(curve.value).all()
    assert np.isfinite(curve.draws).all()


def test_a_search_that_levelled_off_was_long_enough(tmp_path):
    run = made(tmp_path, lambda _, n: -100.0 * (n % 2), points=64)
    found = doubling(run)
    assert set(found["verdict"]) == {"enough"}
    assert found["gain"].abs().max() < 1
    assert "was long enough" in sentences(run)[0]


def test_a_search_that_still_climbs_was_too_short(tmp_path):
    """Every point is a fifth better than the one before, so that half of them often lack the best."""
    run = made(tmp_path, lambda _, n: 1.2**n, points=64, noise=0.01)
    found = doubling(run)
    assert found["gain"].min() > 1
    assert set(found["verdict"]) <= {"short", "unclear"}
    assert not [text for text in sentences(run) if "was long enough" in text.split(":")[-1].split("whether")[0]]


def test_without_any_replicate_nothing_is_claimed(tmp_path):
    run = made(tmp_path, nothing, seeds=0)
    found = expected_best(run)
    assert found["value"].isna().all()
    assert set(found["note"]) == {"neither confirm seeds nor several tune seeds"}
    assert np.isfinite(found["naive"]).all()
    assert "cannot be told" in sentences(run)[0]


def test_too_few_points_are_said(tmp_path):
    found = expected_best(made(tmp_path, nothing, points=3))
    assert set(found["note"]) == {"3 finished points; it takes 4"}


def test_pruned_points_are_budget(tmp_path):
    run = made(tmp_path, lambda _, n: float(n), ending=lambda n: "pruned" if n < 8 else "done")
    assert whole(run)["budget"].tolist() == [16, 16]


def test_optimism_is_confirmed_minus_tuned(tmp_path):
    run = made(tmp_path, nothing, cells=6)
    found = optimism(run)
    assert found["optimism"].tolist() == (found["confirmed"] - found["tuned"]).tolist()
    assert (found["seeds"] == 8).all()
    assert found["optimism"].mean() < -1
    row = rank_agreement(run).iloc[0]
    assert row["optimism_high"] < 0
    assert any("worse on fresh seeds" in text for text in sentences(run))


def test_cells_that_differ_rank_alike_and_few_cells_have_no_tau(tmp_path):
    row = rank_agreement(made(tmp_path / "many", lambda c, _: 10.0 * c, cells=8)).iloc[0]
    assert row["tau"] == 1
    assert 0.4 < row["low"] < row["high"] == 1
    row = rank_agreement(made(tmp_path / "few", lambda c, _: 10.0 * c, cells=4)).iloc[0]
    assert math.isnan(row["tau"])
    assert row["note"] == "4 cells; it takes 5"


def test_kendall_equals_scipy():
    random = np.random.default_rng(0)
    for _ in range(20):
        x, y = random.integers(0, 5, 9).astype(float), random.normal(size=9)
        assert kendall(x, y) == pytest.approx(scipy.stats.kendalltau(x, y).statistic)
    assert math.isnan(kendall(np.ones(5), np.arange(5.0)))


def test_the_interval_of_tau_covers():
    """Normal pairs of correlation r have tau = 2 / pi * asin(r)."""
    random, truth, hits = np.random.default_rng(0), 2 / math.pi * math.asin(0.6), []
    for _ in range(500):
        x = random.normal(size=12)
        y = 0.6 * x + 0.8 * random.normal(size=12)
        low, high = tau_interval(kendall(x, y), 12)
        hits.append(low <= truth <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_several_objectives_have_no_single_best(tmp_path):
    folder = Folder(tmp_path, lock({}, objective=[{"maximize": "m"}, {"minimize": "n"}]))
    folder.decide("cell", cell="c", levels={})
    run = load(tmp_path)
    assert isinstance(expected_best(run), pd.DataFrame)
    assert len(expected_best(run)) == len(doubling(run)) == len(rank_agreement(run)) == len(optimism(run)) == 0
    assert sentences(run) == []


@pytest.mark.parametrize("started", [0, 3])
def test_a_run_that_has_only_begun_raises_nothing(tmp_path, started):
    folder = Folder(tmp_path, lock({"f": ["a", "b"]}, objective={"maximize": "m"}))
    for cell in ("a", "b"):
        folder.decide("cell", cell=cell, levels={"f": cell})
        for n in range(started):
            folder.plan(f"{cell}{n}", cell, "tune", f"p{n}", 0)
            folder.decide("started", trial=f"{cell}{n}", attempt=1)
    run = load(tmp_path)
    assert not [line for line in sentences(run) if any(mark.isdigit() for mark in line.replace("2 cells", ""))]
    assert rank_agreement(run)["tau"].isna().all()

import itertools
import math

import numpy as np
import pytest
from synthetic import Folder, lock

from analysis.edges import end_of
from analysis.frames import load
from analysis.importance import POOLED, edges, importance, sensitivity, sentences
from analysis.replicates import objectives
from analysis.sensitivity import factor, parabola
from analysis.tuned import noises, tuned

LR = {"low": 1e-3, "high": 1.0, "log": True}
SPACE = {"lr": LR, "wd": {"low": 0.0, "high": 1.0}}
CELLS = {"c0": "a", "c1": "b"}
ONE = {"cells": {"c0": "a"}}


def made(path, merit, *, space=None, n=40, seeds=8, noise=0.01, cells=CELLS, draw=None, ending=lambda _: "done"):
    """Cells tuned on random points of ``merit(params)``, which is maximized; the best one confirmed."""
    folder = Folder(path, lock({"model": list(cells.values())}, nuisance=space or SPACE, objective={"maximize": "m"}))
    for number, (cell, label) in enumerate(cells.items()):
        random = np.random.default_rng(number)
        folder.decide("cell", cell=cell, levels={"model": label})
        best = (-math.inf, "", {})
        for i in range(n):
            params = (draw or uniform)(random)
            value = merit(params) + float(random.normal(0, noise))
            folder.decide("asked", cell=cell, number=i, point=f"p{i}", params=params)
            folder.plan(f"{cell}-{i}", cell, "tune", f"p{i}", 0)
            end = ending(params)
            folder.run(f"{cell}-{i}", [{"m": value}], end)
            best = max(best, (value if end == "done" else -math.inf, f"p{i}", params), key=lambda one: one[0])
        folder.decide("winner", cell=cell, points=[best[1]])
        for seed in range(1000, 1000 + seeds):
            folder.plan(f"{cell}-s{seed}", cell, "confirm", best[1], seed)
            folder.run(f"{cell}-s{seed}", [{"m": merit(best[2]) + noise * (1 if seed % 2 else -1)}])
    return load(path)


def uniform(random):
    return {"lr": float(10 ** random.uniform(-3, 0)), "wd": float(random.uniform())}


def bowl(params):
    return -((math.log10(params["lr"]) + 1.5) ** 2)


def table(run, method="fanova", cell=POOLED):
    found = importance(run)
    return found[(found["method"] == method) & (found["cell"] == cell)].set_index("parameter")


def test_half_of_the_points_may_have_one_value_of_the_only_parameter(tmp_path):
    """A grid of two points, the same in all cells: nothing is left that could explain anything."""
    grid = itertools.cycle([{"lr": 0.1}, {"lr": 0.2}])
    cells = {f"c{i}": f"m{i}" for i in range(6)}
    run = made(tmp_path, lambda p: p["lr"], n=2, space={"lr": LR}, cells=cells, draw=lambda _: next(grid), noise=0.1)
    assert set(importance(run)["parameter"]) == {"lr"}


def test_what_mattered_stands_out_in_every_cell_and_pooled(tmp_path):
    run = made(tmp_path, bowl, n=32)
    found = importance(run)
    assert set(found["cell"]) == {POOLED, "c0", "c1"}
    for method in ("fanova", "ped-anova"):
        pool = table(run, method)
        assert pool.loc["lr", "low"] > pool.loc["lr", "chance"]
        assert pool.loc["wd", "low"] < pool.loc["wd", "chance"]
        for cell in (POOLED, *CELLS):
            assert table(run, method, cell).loc["lr", "value"] > 0.6
    assert ((found["low"] <= found["value"]) & (found["value"] <= found["high"])).all()
    assert found["value"].between(0, 1).all()
    assert sentences(run)[0].startswith("Of the variance of m over the search space, lr explains")
    assert "wd cannot be told from chance" in sentences(run)[0]


def test_it_repeats(tmp_path):
    one, two = (made(tmp_path / name, bowl, n=16, **ONE) for name in "ab")
    assert importance(one).equals(importance(two))


def test_additive_effects_get_their_share_of_the_variance(tmp_path):
    """Uniform u in [0, 1] and v with twice its effect: variances 1 to 4."""
    run = made(tmp_path, lambda p: (math.log10(p["lr"]) + 3) / 3 + 2 * p["wd"], n=80, **ONE)
    rows = table(run)
    assert rows["value"].to_dict() == pytest.approx({"lr": 0.2, "wd": 0.8}, abs=0.12)


def test_pure_noise_is_at_chance_level(tmp_path):
    run = made(tmp_path, lambda _: 0.0, noise=1.0, n=24, **ONE)
    rows = table(run)
    assert (rows["low"] < rows["chance"]).all()
    assert "No parameter can be told to have mattered" in sentences(run)[0]


def test_too_few_points_are_said_and_not_weighed(tmp_path):
    found = importance(made(tmp_path, bowl, n=11, **ONE))
    assert found["value"].isna().all()
    assert set(found["note"]) == {"11 points; it takes 12"}


def test_a_constant_objective_has_no_importance(tmp_path):
    found = importance(made(tmp_path, lambda _: 1.0, noise=0.0, n=16))
    assert found["value"].isna().all()
    assert set(found["note"]) == {"the points do not differ in their value"}


def test_conditional_parameters_are_weighed_where_they_exist(tmp_path):
    def draw(random):
        name = str(random.choice(["sgd", "adam"]))
        momentum = {"momentum": float(random.uniform())} if name == "sgd" else {}
        return {"optimizer": name, "lr": float(10 ** random.uniform(-3, 0)), **momentum}

    space = {
        "optimizer": {"choices": ["sgd", "adam"]},
        "lr": LR,
        "momentum": {"low": 0.0, "high": 1.0, "when": {"optimizer": "sgd"}},
    }
    run = made(tmp_path, lambda p: 3 * p.get("momentum", 0.0) + 0.01 * bowl(p), space=space, draw=draw, n=40, **ONE)
    rows = table(run)
    assert 12 <= rows.loc["momentum", "points"] < 30
    assert rows.loc["momentum", "value"] > 0.8
    assert rows.loc["lr", "points"] == 40
    assert table(run, "ped-anova").loc["momentum", "value"] > 0.2


def test_an_exploded_value_does_not_explain_everything(tmp_path):
    run = made(tmp_path, lambda p: bowl(p) - (1e9 if p["wd"] > 0.97 else 0), n=40, **ONE)
    assert table(run).loc["lr", "value"] > 0.5


def test_points_that_diverged_count_as_bad_and_pruned_ones_only_for_ped_anova(tmp_path):
    run = made(tmp_path / "a", lambda _: 0.0, ending=lambda p: "diverged" if p["lr"] > 0.1 else "done", n=40, **ONE)
    assert table(run, "ped-anova").loc["lr", "points"] == 40
    assert table(run).loc["lr", "value"] > 0.3
    run = made(tmp_path / "b", bowl, ending=lambda p: "pruned" if bowl(p) < -0.5 else "done", n=60, **ONE)
    assert table(run).loc["lr", "points"] < 45
    assert table(run, "ped-anova").loc["lr", "points"] == 60


def test_only_finished_points_are_tuned_points(tmp_path):
    run = made(tmp_path, bowl, n=12, ending=lambda p: "lost" if p["lr"] > 0.1 else "done")
    (objective,) = objectives(run.lock)
    assert set(tuned(run, objective)["state"]) == {"done"}
    assert len(tuned(run, objective)) < 24


def test_the_noise_is_that_of_the_confirm_seeds(tmp_path):
    found = noises(made(tmp_path, bowl, n=4), "m")["c0"]
    assert found.sd == pytest.approx(0.01 * math.sqrt(8 / 7))
    assert found.freedom == 7


def test_sensitivity_is_the_closed_form_of_a_parabola(tmp_path):
    """Worse by (log10 lr - log10 lr0)^2: one noise s off at a factor of 10^sqrt(s)."""
    rows = sensitivity(made(tmp_path, bowl, noise=0.04)).set_index("cell")
    row = rows.loc["c0"]
    assert row["optimum"] == pytest.approx(10**-1.5, rel=0.15)
    assert row["curvature_low"] < 1 < row["curvature_high"]
    assert row["factor"] == pytest.approx(10 ** math.sqrt(row["noise"]), rel=0.1)
    assert row["factor_low"] < row["factor"] < row["factor_high"]
    assert set(rows["parameter"]) == {"lr"}


def test_an_exact_parabola_is_found_exactly():
    u = np.linspace(-3, 0, 9)
    found = parabola(u, 2 * (u + 1) ** 2 + 5)
    assert (found.curvature, found.optimum) == pytest.approx((2, -1))
    assert found.low == pytest.approx(found.high)
    assert factor(0.5, 2) == pytest.approx(10**0.5)
    assert factor(0.5, -2) == math.inf


@pytest.mark.parametrize(
    ("curve", "note"), [(-0.1, "the optimum lies above"), (0.1, "no optimum: flat, or best at an end")]
)
def test_no_optimum_inside_has_no_factor(tmp_path, curve, note):
    run = made(tmp_path, lambda p: math.log10(p["lr"]) + curve * math.log10(p["lr"]) ** 2, noise=1e-4, n=16)
    found = sensitivity(run)
    assert found["factor"].isna().all()
    assert set(found["note"]) == {note}


@pytest.mark.parametrize(
    ("space", "value", "end"),
    [
        (LR, 0.99, "upper"),
        (LR, 0.0011, "lower"),
        (LR, 0.03, ""),
        ({"low": 0.0, "high": 1.0}, 0.0, ""),
        ({"low": 1, "high": 4}, 4, "upper"),
        ({"choices": [1, 2]}, 2, ""),
    ],
)
def test_ends(space, value, end):
    assert end_of(space, value) == end


def test_a_winner_on_the_edge_asks_for_a_wider_space(tmp_path):
    (first, *_) = edges(made(tmp_path, lambda p: math.log10(p["lr"]), n=200, noise=0.0))
    assert (first.parameter, first.end) == ("lr", "upper")
    assert "widen it" in first.sentence()

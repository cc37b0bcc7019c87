import math

import numpy as np
import pytest
import scipy.stats
from synthetic import Folder, lock

from analysis.frames import load
from analysis.verdicts import verdicts

SEEDS = range(1000, 1008)
FACTORS = {"model": ["mlp", "cnn"], "width": ["8", "16", "32"]}


def claim(expect, where=None, against=None, metric="m", **more):
    parts = {"name": f"{expect} {where}", "metric": metric, "where": where or {}, "against": against}
    return {k: v for k, v in {**parts, "expect": expect, **more}.items() if v is not None}


def make(path, values, claims, *, outcome=lambda *_: "done", **more):
    """``values(model, width, seed)`` is the last of two reports of each confirm trial."""
    folder = Folder(path, lock(FACTORS, claims=claims, **more))
    for model in FACTORS["model"]:
        for width in FACTORS["width"]:
            cell = f"{model}{width}"
            folder.decide("cell", cell=cell, levels={"model": model, "width": width})
            folder.decide("asked", cell=cell, number=0, point="p", params={})
            folder.plan(f"{cell}-tune", cell, "tune", "p", 0)
            folder.run(f"{cell}-tune", [{"m": 1e6}])
            folder.decide("winner", cell=cell, points=["p"])
            for seed in SEEDS:
                trial = f"{cell}-{seed}"
                folder.plan(trial, cell, "confirm", "p", seed)
                curve = [{"m": -1e6}, {"m": values(model, int(width), seed)}]
                folder.run(trial, curve, outcome(model, int(width), seed))
    return folder


def judge(path, values, *claims, **more):
    make(path, values, list(claims), **more)
    return verdicts(load(path))


def noise(seed, stream=0):
    return float(np.random.default_rng([seed, stream]).normal(0, 0.1))


def linear(model, width, seed):
    return (1.0 if model == "cnn" else 0.5) + 0.01 * width + noise(seed, width + 100 * (model == "cnn"))


CNN, MLP = {"model": "cnn"}, {"model": "mlp"}


@pytest.mark.parametrize(
    ("tested", "verdict"),
    [
        (claim("greater", CNN, MLP), "holds"),
        (claim("less", MLP, CNN), "holds"),
        (claim("greater", MLP, CNN), "fails"),
        (claim("between", CNN, low=1.18, high=1.5), "undecided"),
        (claim("equal", CNN, MLP, margin=0.8), "holds"),
        (claim("equal", CNN, MLP, margin=0.2), "fails"),
        (claim("equal", CNN, MLP, margin=0.5), "undecided"),
        (claim("between", CNN, low=1.0, high=1.5), "holds"),
        (claim("between", CNN, low=2.0), "fails"),
        (claim("between", CNN, MLP, low=0.3, high=0.7), "holds"),
        (claim("ratio_at_least", CNN, MLP, ratio=1.4), "holds"),
        (claim("ratio_at_least", CNN, MLP, ratio=3), "fails"),
        (claim("increases", along="width"), "holds"),
        (claim("decreases", CNN, along="width"), "fails"),
    ],
)
def test_expectations(tmp_path, tested, verdict):
    (found,) = judge(tmp_path, linear, tested)
    assert found.verdict == verdict
    assert found.low <= found.effect <= found.high
    assert found.replicates == 8


def test_pairs_by_seed(tmp_path):
    """A large effect of the seed that both sides share does not hide a small difference."""

    def values(model, width, seed):
        return seed * 10 + (0.05 if model == "cnn" else 0) + noise(seed, width) / 100

    (found,) = judge(tmp_path, values, claim("greater", {**CNN, "width": 8}, {**MLP, "width": 16}))
    a = [values("cnn", 8, s) for s in SEEDS]
    b = [values("mlp", 16, s) for s in SEEDS]
    known = scipy.stats.ttest_rel(a, b)
    assert found.verdict == "holds"
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))


def test_averages_other_factors_seed_by_seed(tmp_path):
    (found,) = judge(tmp_path, linear, claim("greater", CNN, MLP))
    sides = [[np.mean([linear(m, w, s) for w in (8, 16, 32)]) for s in SEEDS] for m in ("cnn", "mlp")]
    assert found.effect == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))
    assert found.p == pytest.approx(scipy.stats.ttest_rel(*sides).pvalue)


def test_many_claims_need_more_evidence(tmp_path):
    def values(model, width, seed):
        return noise(seed, width) + (0.2 if model == "cnn" else 0)

    one = claim("greater", {**CNN, "width": 8}, {**MLP, "width": 16})
    (alone,) = judge(tmp_path / "a", values, one)
    others = [claim("greater", {**CNN, "width": 32}, {**CNN, "width": n % 2 * 8 + 8}) for n in range(9)]
    among, *_ = judge(tmp_path / "b", values, one, *others)
    assert among.effect == alone.effect
    assert among.p >= alone.p
    assert among.level > alone.level == 0.95
    assert (among.low, among.high) != (alone.low, alone.high)


def test_verdict_interval_and_p_agree(tmp_path):
    tests = [claim("greater", {**CNN, "width": w}, {**MLP, "width": v}) for w in (8, 16, 32) for v in (8, 16, 32)]

    def values(model, width, seed):
        return noise(seed, width + (7 if model == "cnn" else 0)) + width / 40

    found = judge(tmp_path, values, *tests)
    assert {v.verdict for v in found} == {"holds", "fails", "undecided"}
    for verdict in found:
        assert (verdict.p <= 0.05) == (verdict.verdict in ("holds", "fails"))
        assert (verdict.low > 0) == (verdict.verdict == "holds")


def test_equal_sides_are_not_greater(tmp_path):
    found = judge(tmp_path, lambda *_: 0.7, claim("greater", CNN, MLP), claim("equal", CNN, MLP, margin=0.01))
    assert [v.verdict for v in found] == ["undecided", "holds"]


def test_only_finished_seeds_of_all_cells_count(tmp_path):
    bad = {("cnn", 8, 1000): "failed", ("cnn", 32, 1001): "diverged", ("mlp", 8, 1002): "running"}

    def outcome(*key):
        return bad.get(key, "done")

    (found,) = judge(tmp_path, linear, claim("greater", CNN, MLP), outcome=outcome)
    assert found.replicates == 5


def test_unpaired_where_seeds_differ(tmp_path):
    def outcome(model, _, seed):
        return "done" if (seed < 1004) == (model == "cnn") else "failed"

    (found,) = judge(tmp_path, linear, claim("greater", {**CNN, "width": 8}, {**MLP, "width": 8}), outcome=outcome)
    a = [linear("cnn", 8, s) for s in SEEDS if s < 1004]
    b = [linear("mlp", 8, s) for s in SEEDS if s >= 1004]
    assert found.p == pytest.approx(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)


@pytest.mark.parametrize(
    ("tested", "reason"),
    [
        (claim("between", {"model": "vit"}, low=0), "no cell has model = vit"),
        (claim("between", CNN, metric="ece", low=0), "ece was not reported by trial cnn8-1000"),
        (claim("increases", along="depth"), "depth is not a factor of this sweep"),
        (claim("increases", along="model"), "the level mlp of model is not a number"),
        (claim("increases", {"width": 8}, along="width"), "only one level of width is selected"),
    ],
)
def test_untestable_says_why(tmp_path, tested, reason):
    (found,) = judge(tmp_path, linear, tested)
    assert (found.verdict, found.reason) == ("untestable", reason)
    assert math.isnan(found.effect)


def test_a_cell_without_replicates_is_untestable(tmp_path):
    def outcome(model, width, _):
        return "failed" if (model, width) == ("cnn", 16) else "done"

    (found,) = judge(tmp_path, linear, claim("greater", CNN, MLP), outcome=outcome)
    assert found.reason == "no finished confirm replicate where model = cnn, width = 16"


def test_a_value_that_is_not_finite_is_untestable(tmp_path):
    def values(model, width, seed):
        return math.nan if seed == 1003 else 1.0

    (found,) = judge(tmp_path, values, claim("between", CNN, low=0))
    assert found.reason == "m is nan in trial cnn8-1003"


def test_one_seed_decides_nothing(tmp_path):
    def outcome(model, width, seed):
        return "done" if seed == 1000 else "failed"

    (found,) = judge(tmp_path, linear, claim("greater", CNN, MLP), outcome=outcome)
    assert (found.verdict, found.replicates) == ("undecided", 1)
    assert "one replicate" in found.reason


@pytest.mark.parametrize(("at", "value"), [("last", 3.0), ("best", 9.0), ({"mean_of_last": 2}, 2.0)])
def test_the_objective_is_read_where_it_was_tuned(tmp_path, at, value):
    objective = {"maximize": "m", "at": at}
    folder = Folder(
        tmp_path, lock({}, objective=objective, claims=[claim("between", low=0), claim("between", low=0, metric="n")])
    )
    folder.decide("cell", cell="c", levels={})
    for seed in SEEDS:
        folder.plan(f"{seed}", "c", "confirm", "p", seed)
        folder.run(f"{seed}", [{"m": m, "n": m} for m in (9.0, 1.0, 3.0)])
    found = verdicts(load(tmp_path))
    assert [v.effect for v in found] == [value, 3.0]


def test_replicates_of_a_former_winner_do_not_count(tmp_path):
    folder = make(tmp_path, lambda *_: 1.0, [claim("between", {**CNN, "width": 8}, low=0)])
    folder.decide("winner", cell="cnn8", points=["q"])
    for seed in (1000, 1001, 1002):
        folder.plan(f"q{seed}", "cnn8", "confirm", "q", seed)
        folder.run(f"q{seed}", [{"m": 5.0}])
    (found,) = verdicts(load(tmp_path))
    assert (found.effect, found.replicates) == (5.0, 3)

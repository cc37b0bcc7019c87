import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from synthetic import Folder, lock

from analysis import rounds, sequential, stats
from analysis.frames import load
from analysis.verdicts import verdicts

FRACTIONS = (0.25, 0.45, 0.65, 0.85, 1.0)


def test_schedule_is_fixed_beforehand():
    assert sequential.schedule(5, 20) == [5, 9, 13, 17, 20]
    assert sequential.schedule(5, 6) == [5, 6]
    assert sequential.schedule(5, 5) == [5]


def test_the_first_look_spends_its_share_and_all_looks_the_whole():
    levels = sequential.levels(FRACTIONS, 0.05)
    assert levels[0] == pytest.approx(0.05 * 0.25**1.75)
    assert max(levels) < 0.05 < sum(levels)
    assert sequential.levels((1.0,), 0.05) == (0.05,)


def test_levels_do_not_depend_on_later_looks():
    assert sequential.levels(FRACTIONS[:3], 0.05) == sequential.levels(FRACTIONS, 0.05)[:3]


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_crossing_any_bound_has_the_chance_alpha(alpha):
    """Of a Brownian motion without drift, by simulation."""
    random = np.random.default_rng(0)
    steps = np.sqrt(np.diff([0, *FRACTIONS]))
    z = np.cumsum(random.normal(size=(100_000, 5)) * steps, axis=1) / np.sqrt(FRACTIONS)
    crossed = (np.abs(z) >= norm.isf(np.array(sequential.levels(FRACTIONS, alpha)) / 2)).any(axis=1)
    assert crossed.mean() == pytest.approx(alpha, abs=4 * math.sqrt(alpha / 100_000))


@pytest.mark.parametrize("p", [(0.5, 0.009, 0.3, 0.2, 0.1), (1e-9, 0.5, 0.5, 0.5, 0.5), (1.0, 1.0, 1.0, 1.0, 0.04)])
def test_p_value_and_levels_decide_alike(p):
    found = sequential.p_value(p, FRACTIONS)
    for alpha, decides in ((found * 1.001, True), (found * 0.999, False)):
        levels = sequential.levels(FRACTIONS, alpha)
        assert any(one <= level for one, level in zip(p, levels, strict=True)) is decides


def test_p_value_of_one_look_is_its_own():
    assert sequential.p_value([0.04], (1.0,)) == 0.04
    assert sequential.p_value([math.nan, math.nan], (0.5, 1.0)) == 1.0


def test_more_replicates_give_the_power_that_they_promise():
    """With 80 % power: an effect of 1 in units of the noise takes 10 pairs, by any table of the t test."""
    values = np.array([-1.0, 3.0] * 2)
    effect = stats.mean((values - 1) / values.std(ddof=1) + 1)  # mean 1, deviation 1
    more = sequential.more_needed(effect, effect.p_value(), 0.95)
    assert more == 10 - 4
    assert sequential.more_needed(stats.mean([1.0]), math.nan, 0.95) is None
    assert sequential.more_needed(stats.mean([1.0, -1.0, 0.01]), 0.99, 0.95) is None


def test_chance_is_that_of_more_of_the_same():
    """Predictive: the rest is drawn around an effect that is itself drawn around what was seen."""
    random = np.random.default_rng(1)
    n, most, z = 5, 20, 1.2
    effects = random.normal(z / math.sqrt(n), 1 / math.sqrt(n), 200_000)
    rest = random.normal((most - n) * effects, math.sqrt(most - n))
    last = np.abs(z * math.sqrt(n) + rest) / math.sqrt(most) > norm.isf(0.02)
    assert sequential.chance(2 * norm.sf(z), n, most, 0.04) == pytest.approx(last.mean(), abs=0.005)


# --- the looks of a run ----------------------------------------------------------------------------------------------


def claim(a, b, expect="greater", **more):
    return {
        "name": f"{a} {b} {expect}",
        "metric": "m",
        "where": {"x": a},
        "against": {"x": b},
        "expect": expect,
        **more,
    }


def run(path, tops, claims, looks, noise=0.5):
    """Confirm trials of each cell up to its last look."""
    folder = Folder(path, lock({"x": list(tops)}, claims=claims))
    folder.decide("run", event="started", seconds=0)
    for cell in tops:
        folder.decide("cell", cell=cell, levels={"x": cell})
        folder.decide("asked", cell=cell, number=0, point="p", params={})
        folder.decide("winner", cell=cell, points=["p"])
    for cell, top in tops.items():
        for seeds in looks[cell]:
            folder.decide("confirm", cell=cell, seeds=seeds, most=20)
        random = np.random.default_rng(sum(map(ord, cell)))
        for n, value in enumerate(random.normal(top, noise, max(looks[cell]))):
            folder.plan(f"{cell}{n}", cell, "confirm", "p", 1000 + n)
            folder.run(f"{cell}{n}", [{"m": float(value)}])
    return load(path)


def test_intervals_are_those_of_the_looks(tmp_path):
    found = run(tmp_path, {"a": 1.0, "b": 0.8}, [claim("a", "b")], {"a": [5, 9], "b": [5, 9]})
    (verdict,) = verdicts(found)
    assert verdict.level == pytest.approx(1 - sequential.levels((0.25, 0.45), 0.05)[1])
    assert (verdict.verdict, verdict.replicates) == ("undecided", 9)
    (fixed,) = verdicts(replace(found, looks=found.looks[:0]))
    assert fixed.level == 0.95
    assert verdict.low < fixed.low < fixed.high < verdict.high


def test_a_limit_in_the_sweep_makes_the_first_report_a_first_look(tmp_path):
    """The same seeds, read alone or as the first of several looks; the same once the ledger has that look."""
    claims = [claim("a", "b")]
    tops = {"a": 1.0, "b": 0.0}
    given = run(tmp_path / "given", tops, claims, {key: [5] for key in tops})
    alone = replace(given, looks=given.looks[:0])
    first = replace(alone, lock={**alone.lock, "seeds": {"tune": 1, "confirm_at_most": 20}})  # 5 if not said
    assert verdicts(first) == verdicts(given)
    assert verdicts(first)[0].level == pytest.approx(1 - sequential.levels((0.25,), 0.05)[0])
    assert verdicts(alone)[0].level == 0.95
    no_more = replace(alone, lock={**alone.lock, "seeds": {"confirm": 5, "confirm_at_most": 5}})
    assert verdicts(no_more) == verdicts(alone)
    assert rounds.next_round(no_more) == {}


def test_a_decided_claim_stays_as_it_was_decided(tmp_path):
    """Its cells get more seeds for another claim, which cannot move it."""
    tops = {"a": 5.0, "b": 0.0, "c": 0.05}
    claims = [claim("a", "b"), claim("c", "b")]
    first = verdicts(run(tmp_path / "1", tops, claims, {key: [5] for key in tops}))
    looks = {"a": [5, 9], "b": [5, 9], "c": [5, 9]}
    later = verdicts(run(tmp_path / "2", tops, claims, looks))
    assert [v.verdict for v in first] == [v.verdict for v in later] == ["holds", "undecided"]
    assert later[0].replicates == 5
    assert (later[0].effect, later[0].low) == (first[0].effect, first[0].low)
    assert later[1].replicates == 9


def test_only_cells_of_undecided_claims_get_more(tmp_path):
    tops = {"a": 9.0, "b": 0.0, "c": 0.4, "d": 0.0}
    found = run(tmp_path, tops, [claim("a", "b"), claim("c", "d")], {key: [5] for key in tops})
    assert [v.verdict for v in verdicts(found)] == ["holds", "undecided"]
    assert rounds.next_round(found) == {"c": 9, "d": 9}


def test_a_hopeless_claim_is_given_up(tmp_path):
    tops = {"b": 0.0, "c": 0.0}
    found = run(tmp_path, tops, [claim("b", "c")], {key: [5, 9, 13] for key in tops})
    assert verdicts(found)[0].verdict == "undecided"
    assert rounds.next_round(found) == {}


def test_the_limit_is_the_end(tmp_path):
    tops = {"a": 0.3, "b": 0.0}
    found = run(tmp_path, tops, [claim("a", "b")], {key: [5, 9, 13, 17, 20] for key in tops}, noise=1.0)
    assert verdicts(found)[0].verdict == "undecided"
    assert rounds.next_round(found) == {}


def test_looks_of_a_former_search_do_not_count(tmp_path):
    tops = {"a": 1.0, "b": 0.0}
    run(tmp_path, tops, [claim("a", "b")], {key: [5, 9] for key in tops})
    folder = Folder(tmp_path)
    folder.decide("cell", cell="a", levels={"x": "a"}, search="new")
    assert set(load(tmp_path).looks["cell"]) == {"b"}

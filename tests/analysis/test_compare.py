"""The same cells of several runs, with differences whose truth is known."""

import math

import numpy as np
import pandas as pd
import pytest
from synthetic import Folder, lock

from analysis import stats
from analysis.compare import REGRESSIONS, compare, frame
from analysis.comparison_page import page, write
from analysis.frames import load
from analysis.records import LedgerError

METRIC = "accuracy/validation"


def run(path, cells, *, objective="maximize", metrics=(METRIC,)):
    """A run of confirm trials only. ``cells``: level of ``a`` -> values by seed, the first of which is 1000."""
    folder = Folder(path, lock({"a": list(cells)}, objective={objective: METRIC}))
    for level, values in cells.items():
        cell = f"{path.name}-{level}"  # ids do not matter, levels do
        folder.decide("cell", cell=cell, levels={"a": level})
        folder.decide("asked", cell=cell, number=0, point="p", params={})
        folder.decide("winner", cell=cell, points=["p"])
        for seed, value in enumerate(values, start=1000):
            trial = f"{cell}-{seed}"
            folder.plan(trial, cell, "confirm", "p", seed)
            reported = {} if value is None else dict.fromkeys(metrics, value)
            folder.run(trial, [reported] if reported else [], "failed" if value is None else "done")
    return load(path)


def noise(n=8, size=0.01, start=0):
    return np.random.default_rng(start).normal(0, size, n)


def verdicts(comparisons):
    return {c.cell: c.verdict for c in comparisons}


@pytest.fixture
def pair(tmp_path):
    seeds = 0.8 + noise(size=0.1)  # large between seeds, small between runs: only pairing can tell
    before = {"up": seeds, "down": seeds, "still": seeds, "unsure": seeds}
    small = noise(size=0.001, start=1)
    unsure = noise(size=0.05, start=2)
    after = {
        "up": seeds + 0.02 + small,
        "down": seeds - 0.02 + small,
        "still": seeds,
        "unsure": seeds + unsure - unsure.mean() + 0.001,
    }
    return {"old": run(tmp_path / "old", before), "new": run(tmp_path / "new", after)}


def test_paired_differences_and_their_verdicts(pair):
    found = compare(pair)
    assert verdicts(found) == {"up": "better", "down": "worse", "still": "same", "unsure": "undecided"}
    up = found[0]
    assert up.paired
    assert up.low < 0.02 < up.high
    assert up.difference == pytest.approx(0.02, abs=0.002)
    assert found[2].difference == found[2].low == found[2].high == 0.0


def test_less_is_better_of_what_is_minimised(tmp_path, pair):
    runs = {name: run(tmp_path / "min" / name, {"up": 0.8 + noise() + move}, objective="minimize") for name, move in
            (("old", 0.0), ("new", 0.05 + noise(start=3)))}  # fmt: skip
    assert verdicts(compare(runs)) == {"the only cell": "worse"}


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.005, {"up": "better", "down": "worse", "still": "same", "unsure": "undecided"}),
        (0.0201, {"up": "undecided", "down": "undecided", "still": "same", "unsure": "undecided"}),
        (0.2, {"up": "same", "down": "same", "still": "same", "unsure": "same"}),
    ],
)
def test_margin_decides_what_matters(pair, margin, expected):
    assert verdicts(compare(pair, margin=margin)) == expected


def test_intervals_are_corrected_for_all_cells(tmp_path):
    """With 40 cells and no difference at all, about two would look different without the correction."""
    cells = [f"c{n:02}" for n in range(40)]
    runs = {
        name: run(tmp_path / name, {c: 0.8 + noise(5, 0.01, 100 * start + n) for n, c in enumerate(cells)})
        for start, name in enumerate(("old", "new"), 1)
    }
    found = compare(runs)
    sides = [(list(c.after.values.values()), list(c.before.values.values())) for c in found]
    tempting = [stats.difference(a, b, paired=True).p_value() < 0.05 for a, b in sides]
    assert any(tempting), "this draw has to tempt somebody who does not correct"
    assert set(verdicts(found).values()) == {"undecided"}


def test_unpaired_seeds_are_compared_by_welch(tmp_path):
    old = run(tmp_path / "old", {"x": [0.5, 0.51, 0.52, None, None, None]})
    new = run(tmp_path / "new", {"x": [None, None, None, 0.61, 0.6, 0.62]})
    (found,) = compare({"old": old, "new": new})
    assert (found.paired, found.verdict) == (False, "better")
    assert found.difference == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        ({"x": [0.5, 0.6]}, {"x": [None, None]}, "gone", "no finished replicate"),
        ({"x": [0.5, 0.6]}, {"x": [0.5, math.nan]}, "gone", f"{METRIC} is missing or not finite at seed 1001"),
        ({"x": [None, None]}, {"x": [0.5, 0.6]}, "new", "no finished replicate"),
        ({"x": [None]}, {"x": [None]}, "undecided", "no finished replicate"),
        ({"x": [0.5]}, {"x": [0.9]}, "undecided", "one replicate has no interval"),
    ],
)
def test_cells_without_an_answer(tmp_path, before, after, verdict, reason):
    filler = {"y": [0.5, 0.6]}
    found = compare({"old": run(tmp_path / "old", before | filler), "new": run(tmp_path / "new", after | filler)})
    assert (found[0].verdict, found[0].reason) == (verdict, reason)
    assert (verdict in REGRESSIONS) == (verdict == "gone")
    assert found[1].verdict == "same"


def test_cells_of_one_run_only(tmp_path):
    old, new = run(tmp_path / "old", {"x": [1, 2], "y": [1, 2]}), run(tmp_path / "new", {"y": [1, 2], "z": [1, 2]})
    assert verdicts(compare({"old": old, "new": new})) == {"x": "gone", "y": "same", "z": "new"}
    with pytest.raises(LedgerError, match="no cell in common"):
        compare({"old": old, "new": run(tmp_path / "other", {"q": [1, 2]})})


def test_metrics_may_be_chosen(tmp_path):
    runs = {n: run(tmp_path / n, {"x": [1, 2, 3]}, metrics=(METRIC, "seconds")) for n in ("old", "new")}
    assert [c.metric for c in compare(runs, ["seconds", METRIC])] == ["seconds", METRIC]
    with pytest.raises(LedgerError, match=f"loss: no run has reported this metric; they have {METRIC}, seconds"):
        compare(runs, ["loss"])


def test_a_metric_without_a_goal_differs(tmp_path):
    runs = {
        n: run(tmp_path / n, {"x": 1 + move + noise(size=1e-4)}, metrics=(METRIC, "size"))
        for n, move in (("a", 0), ("b", 1))
    }
    assert compare(runs, ["size"])[0].verdict == "differs"
    assert "differs" in REGRESSIONS


def test_three_runs_are_each_held_against_the_first(pair, tmp_path):
    third = run(tmp_path / "third", {level: 0.9 + noise() for level in ("up", "down", "still", "unsure")})
    found = compare({**pair, "third": third})
    assert [c.run for c in found] == ["new", "third"] * 4
    assert len(page({**pair, "third": third}, found, 0.0).runs) == 3


def test_one_run_is_no_comparison(pair):
    with pytest.raises(LedgerError, match="needs two runs, got old"):
        compare({"old": pair["old"]})


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_hold_every_row_and_are_the_same_twice(pair, tmp_path):
    found = compare(pair)
    made = page(pair, found, 0.0)
    assert [row[-2] for row in made.table] == ["better", "worse", "same", "undecided"]
    for suffix in (".md", ".html", ".csv"):
        first, second = tmp_path / f"a{suffix}", tmp_path / "deep" / f"b{suffix}"
        for target in (first, second):
            write(target, made, found)
        assert first.read_bytes() == second.read_bytes()
        assert all(row[0] in first.read_text() for row in made.table)
    table = pd.read_csv(tmp_path / "a.csv")
    pd.testing.assert_series_equal(table["difference"], frame(found, "old")["difference"])
    with pytest.raises(LedgerError, match=r"x\.txt: got a file that ends in \.txt, expected"):
        write(tmp_path / "x.txt", made, found)


def test_hostile_names_are_harmless(tmp_path):
    bad = '<script>alert("x")</script>|`a`\n[red]' + "x" * 300
    runs = {name: run(tmp_path / name, {bad: [1, 2], "y": [1, 2]}) for name in ("old", "new")}
    runs = {f"{name}<b>|": one for name, one in runs.items()}
    found = compare(runs)
    made = page(runs, found, 0.0)
    for suffix in (".md", ".html"):
        write(tmp_path / f"c{suffix}", made, found)
        text = (tmp_path / f"c{suffix}").read_text()
        assert "<script>" not in text.replace("\\<script\\>", "")
        assert "<b>" not in text.replace("\\<b\\>", "")
    rows = [line for line in (tmp_path / "c.md").read_text().splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}

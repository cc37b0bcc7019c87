"""More confirm seeds for undecided claims: what a user sees, and what the ledger keeps."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
from prompt import User, decisions
from sweeps_for_tests import Life, sweep

from analysis.frames import load
from analysis.verdicts import verdicts
from sweeps import cli_analysis

TRAINABLE = '''
TOPS = {"far": 30.0, "near": 1.5, "low": 0.0}


def train(config, trial):
    """Noise around the top of a level; that of a seed is the same at all levels, apart from its sign."""
    noise = trial.streams.numpy("noise").normal()
    yield {"step": 1, "score": TOPS[config["x"]] + (-noise if config["x"] == "low" else noise)}
'''

SWEEP = """
sweep: tops
question: Which x is higher?
trainable: tops.py:train
factors: {x: [far, near, low]}
objective: {maximize: score}
seeds: {tune: 1, confirm: 5}
claims:
  - {name: far is higher, metric: score, where: {x: far}, against: {x: low}, expect: greater}
  - {name: near is lower, metric: score, where: {x: near}, against: {x: low}, expect: NEAR}
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    monkeypatch.setattr(cli_analysis, "write_report", lambda _: None)
    user = User(tmp_path)
    user.write("tops.py", TRAINABLE)
    user.write("tops.yaml", SWEEP.replace("NEAR", "greater"))
    assert user.assay("run", "tops.yaml", "--inline").code == 0
    return user


def confirm(user, most=20, *words):
    return user.assay("confirm", "tops", "--max-seeds", str(most), "--inline", *words)


def confirmed(user):
    """Cell -> done confirm trials."""
    of = {r["trial"]: r["cell"] for r in decisions(user.run, "planned") if r["phase"] == "confirm"}
    return Counter(of[r["trial"]] for r in decisions(user.run, "done") if r["trial"] in of)


def test_more_seeds_go_where_they_are_needed(user):
    said = confirm(user, 20, "--until-decided")
    assert said.code == 0, said.err
    counts = confirmed(user)
    assert counts["x=far"] == 5 < counts["x=near"] == counts["x=low"] <= 20
    found = load(user.run)
    assert set(found.looks["most"]) == {20}
    decided, near = verdicts(found)
    assert (decided.verdict, decided.replicates) == ("holds", 5)
    assert near.replicates == counts["x=low"]
    assert len(decisions(user.run, "done")) == 3 + sum(counts.values())  # nothing ran twice
    before = len(decisions(user.run, "confirm"))
    assert confirm(user, 20, "--until-decided").code == 0
    assert len(decisions(user.run, "confirm")) == before


def test_one_round_at_a_time(user):
    for expected in (9, 13):
        assert confirm(user).code == 0
        assert confirmed(user)["x=near"] == expected


def test_the_limit_is_declared_once(user):
    assert confirm(user).code == 0
    said = confirm(user, 30)
    assert said.code == 2
    assert "declared to go up to 20 seeds, got --max-seeds 30" in said.err


def test_the_sweep_declares_the_limit(user):
    """Then the first report is a first look already, and nobody has to say the limit again, or can say another."""
    user.write("tops.yaml", SWEEP.replace("NEAR", "greater").replace("confirm: 5", "confirm: 5, confirm_at_most: 9"))
    assert user.assay("run", "tops.yaml", "--inline", "--into", "tops").code == 0
    before = verdicts(load(user.run))
    assert {v.level > 0.97 for v in before} == {True}
    other = confirm(user, 20)
    assert other.code == 2
    assert "declared to go up to 9 seeds, got --max-seeds 20" in other.err
    said = user.assay("confirm", "tops", "--inline", "--until-decided")
    assert said.code == 0, said.err
    assert set(load(user.run).looks["most"]) == {9}
    assert verdicts(load(user.run))[0] == before[0]


def test_a_limit_that_nobody_has_declared(user):
    said = user.assay("confirm", "tops", "--inline")
    assert said.code == 2
    assert "--max-seeds: got nothing, expected a number, for the sweep has no seeds.confirm_at_most" in said.err


def test_a_limit_that_is_none(user):
    said = confirm(user, 5)
    assert said.code == 2
    assert "--max-seeds: got 5, expected more than the 5 confirm seeds" in said.err


def test_a_sweep_without_claims(user):
    user.write("bare.yaml", SWEEP[: SWEEP.index("claims:")].replace("tops\n", "bare\n"))
    assert user.assay("run", "bare.yaml", "--inline").code == 0
    said = user.assay("confirm", "bare", "--max-seeds", "9")
    assert said.code == 2
    assert "the sweep has no claims" in said.err


def test_check_exits_1_unless_all_claims_hold(user):
    assert user.assay("report", "tops").code == 0
    said = user.assay("report", "tops", "--check")
    assert said.code == 1
    assert "1 of 2 claims do not hold" in said.err
    user.write("tops.yaml", SWEEP[: SWEEP.index("  - {name: near")])
    with mock.patch.object(cli_analysis, "write_report"):
        user.assay("run", "tops.yaml", "--inline", "--into", "tops")
    assert user.assay("report", "tops", "--check").code == 0


@pytest.mark.cluster
def test_more_seeds_on_ray(user):
    said = user.process("confirm", "tops", "--max-seeds", "20", "--until-decided", timeout_s=250)
    assert said.code == 0, said.err
    counts = confirmed(user)
    assert counts["x=far"] == 5 < counts["x=near"] == counts["x=low"] <= 20
    assert len(decisions(user.run, "done")) == 3 + sum(counts.values())


# --- the search ------------------------------------------------------------------------------------------------------


def test_replay_plans_the_seeds_that_were_given():
    life = Life(sweep(seeds={"tune": 1, "confirm": 2})).run()
    cell = life.search.cells[0].id
    life.search.confirm_more(cell, 5, 9)
    again = life.resumed().run()
    assert [(p.cell, p.phase) for p in again.started] == [(cell, "confirm")] * 3
    assert [p.seed for p in again.started] == [1002, 1003, 1004]


def test_a_cell_that_is_not_tuned_yet_gets_them_later():
    life = Life(sweep(seeds={"tune": 1, "confirm": 2})).run(trials=3)
    cell = life.search.cells[1].id
    life.search.confirm_more(cell, 4, 9)
    again = life.resumed().run()
    seeds = [p.seed for p in again.started if p.phase == "confirm" and p.cell == cell]
    assert seeds == [1000, 1001, 1002, 1003]


def test_another_search_does_not_inherit_them():
    life = Life(sweep(seeds={"tune": 1, "confirm": 2})).run()
    for cell in life.search.cells:
        life.search.confirm_more(cell.id, 5, 9)
    other = life.resumed(search={"sampler": "random", "points": 6, "seed": 7}).run()
    assert {p.seed for p in other.started if p.phase == "confirm"} <= {1000, 1001}

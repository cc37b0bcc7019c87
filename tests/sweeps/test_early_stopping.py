"""Rules that stop trials early, on learning curves that were recorded: in a cohort they stop whom they should.

The rules themselves are in ``reference_rules.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from prompt import decisions
from reference_rules import RULES, STEPS

from analysis.frames import load
from sweeps import resolve, run

CURVES, PLACES = 27, 9

REPLAY = """
import json
from dataclasses import dataclass
from pathlib import Path
from trainables.api import PerMember

HERE = Path(__file__).parent
CURVES = json.loads((HERE / "curves.json").read_text())

@dataclass(frozen=True)
class Config:
    index: PerMember[int] = 0

def steps(config):
    return len(CURVES[0])

def run(configs, trials):
    at = [trial.restored["step"] if trial.restored else 0 for trial in trials]
    while going := [n for n, trial in enumerate(trials) if trial.wanted]:
        with (HERE / "stacks.jsonl").open("a") as file:
            file.write(json.dumps([configs[n].index for n in going]) + "\\n")
        for n in going:
            at[n] += 1
            trials[n].checkpoint(lambda step=at[n]: {"step": step})
            if at[n] == len(CURVES[0]):
                trials[n].finish()
        yield {n: {"loss": CURVES[configs[n].index][at[n] - 1]} for n in going}
"""

SWEEP = """
sweep: curves
question: Which curve ends lowest?
trainable: replay.py:run
nuisance: {index: {low: 0, high: 26}}
objective: {minimize: loss}
search: {sampler: grid}
seeds: {tune: 1, confirm: 0}
"""


def recorded() -> list[list[float]]:
    """Curves that fall at different rates to different ends, with noise, and cross each other."""
    stream = np.random.default_rng(1)
    end, rate, start = stream.uniform(0, 1, CURVES), stream.uniform(0.1, 0.6, CURVES), stream.uniform(1, 2, CURVES)
    steps = np.arange(STEPS)[:, None]
    return (end + start * np.exp(-rate * steps) + 0.02 * stream.normal(size=(STEPS, CURVES))).T.tolist()


def replayed(folder: Path, rule: str, cohort: int | str) -> Path:
    (folder / "curves.json").write_text(json.dumps(recorded()))
    (folder / "replay.py").write_text(REPLAY)
    (folder / "curves.yaml").write_text(
        f"{SWEEP}scheduler: {RULES[rule][0] if rule in RULES else rule}\nresources: {{cohort: {cohort}}}\n"
    )
    target = run.create(resolve.load(folder / "curves.yaml"), folder / "runs")
    assert run.drive(target, run.Options(inline=True)) == "finished"
    return target


@pytest.mark.parametrize("cohort", ["auto", PLACES, "off"])
@pytest.mark.parametrize("rule", RULES)
def test_survivors_are_those_of_the_rule_itself(tmp_path, rule, cohort):
    target, curves, reference = replayed(tmp_path, rule, cohort), recorded(), RULES[rule][1]()
    point = {r["number"]: r["params"]["index"] for r in decisions(target, "asked")}
    stopped: dict[int, int] = {}  # curve -> step, by the reference
    for record in decisions(target, "judged", "told"):
        number = record["number"]
        curve = curves[point[number]]
        if record["kind"] == "told":
            if record["state"] == "COMPLETE":
                reference.told(curve)
        elif reference.stops(number, record["step"], curve[record["step"] - 1]) and record["step"] < STEPS:
            stopped[point[number]] = record["step"]
    # A trial that has made its last report is done, whatever the rule says of it.
    trial = {r["trial"]: r["config"]["index"] for r in decisions(target, "planned")}
    assert {trial[r["trial"]] for r in decisions(target, "pruned")} == set(stopped)
    assert {trial[r["trial"]] for r in decisions(target, "done")} == set(range(CURVES)) - set(stopped)
    last = {index: stopped.get(index, STEPS) for index in range(CURVES)}
    reports = load(target).reports
    assert {trial[t]: sorted(steps) for t, steps in reports.groupby("trial")["step"].agg(list).items()} == {
        index: list(range(1, step + 1)) for index, step in last.items()
    }
    if not (rule == "median" and cohort == "auto"):  # there all of them end at the same time
        assert 3 < len(stopped) < CURVES


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_who_is_stopped_leaves_the_stack_and_another_takes_the_place(tmp_path, rule):
    target = replayed(tmp_path, rule, PLACES)
    stacks = [json.loads(line) for line in (tmp_path / "stacks.jsonl").read_text().splitlines()]
    assert sum(map(len, stacks)) == len(load(target).reports), "nothing was computed in vain"
    assert max(map(len, stacks)) == PLACES
    begun: set[int] = set()
    for stack in stacks:
        begun |= set(stack)
        assert len(stack) >= 0.75 * PLACES or len(begun) == CURVES, "places were free while others waited"


def test_in_one_cohort_the_stack_shrinks_with_every_rung(tmp_path):
    replayed(tmp_path, "asha", 2 * CURVES)
    sizes = [len(json.loads(line)) for line in (tmp_path / "stacks.jsonl").read_text().splitlines()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == CURVES
    assert sizes[-1] <= CURVES // 4
    assert sum(sizes) < 0.5 * CURVES * STEPS

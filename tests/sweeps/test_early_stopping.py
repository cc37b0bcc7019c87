"""Rules that stop trials early, on learning curves that were recorded: in a cohort they stop whom they should.

The references are written from the papers, in the forms that Optuna documents: asynchronous successive halving (Li et
al., 2020, arXiv:1810.05934), Hyperband (Li et al., 2018, jmlr.org/papers/v18/16-558.html) and the median rule (Golovin
et al., 2017, Google Vizier).
"""

from __future__ import annotations

import json
import math
from binascii import crc32
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from prompt import decisions

from analysis.frames import load
from sweeps import resolve, run

CURVES, STEPS, PLACES = 27, 18, 9

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


class Halving:
    """Of the values that came to a rung so far, the best of every ``reduction`` go on."""

    def __init__(self, grace: int, reduction: int, first_rung: int = 0) -> None:
        self.grace, self.reduction, self.first_rung = grace, reduction, first_rung
        self.rungs: dict[int, list[float]] = defaultdict(list)
        self.reached: dict[int, int] = defaultdict(int)

    def stops(self, number: int, step: int, value: float) -> bool:
        while step >= self.grace * self.reduction ** (self.first_rung + self.reached[number]):
            rung = self.rungs[self.reached[number]]
            rung.append(value)
            if value > sorted(rung)[max(1, len(rung) // self.reduction) - 1]:
                return True
            self.reached[number] += 1
        return False

    def told(self, curve: list[float]) -> None: ...


class Hyperband:
    """Several halvings that begin to stop at different steps, with their shares of the trials."""

    def __init__(self, grace: int, reduction: int, longest: int) -> None:
        count = math.floor(math.log(longest / grace, reduction)) + 1
        self.brackets = [Halving(grace, reduction, first) for first in range(count)]
        later = [count - 1 - first for first in range(count)]
        self.shares = [math.ceil(count * reduction**s / (s + 1)) for s in later]

    def stops(self, number: int, step: int, value: float) -> bool:
        place = crc32(f"curves/all_{number}".encode()) % sum(self.shares)  # as Optuna spreads them
        bracket = next(n for n in range(len(self.shares)) if place < sum(self.shares[: n + 1]))
        return self.brackets[bracket].stops(number, step, value)

    def told(self, curve: list[float]) -> None: ...


class Median:
    """Stops what has so far been worse than the median of those that have ended was at this step."""

    def __init__(self, grace: int, warmup: int) -> None:
        self.grace, self.warmup = grace, warmup
        self.ended: list[list[float]] = []
        self.best: dict[int, float] = defaultdict(lambda: math.inf)

    def stops(self, number: int, step: int, value: float) -> bool:
        self.best[number] = min(value, self.best[number])
        if len(self.ended) < self.warmup or step < self.grace:
            return False
        return self.best[number] > median(curve[step - 1] for curve in self.ended)

    def told(self, curve: list[float]) -> None:
        self.ended.append(curve)


RULES = {
    "asha": ("{name: asha, grace_steps: 2, reduction: 3}", lambda: Halving(2, 3)),
    "asha by two": ("{name: asha, grace_steps: 1, reduction: 2}", lambda: Halving(1, 2)),
    "hyperband": ("{name: hyperband, grace_steps: 1, reduction: 3}", lambda: Hyperband(1, 3, STEPS)),
    "median": ("{name: median, grace_steps: 3, warmup_points: 4}", lambda: Median(3, 4)),
}


def recorded() -> list[list[float]]:
    """Curves that fall at different rates to different ends, with noise, and cross each other."""
    stream = np.random.default_rng(1)
    end, rate, start = stream.uniform(0, 1, CURVES), stream.uniform(0.1, 0.6, CURVES), stream.uniform(1, 2, CURVES)
    steps = np.arange(STEPS)[:, None]
    return (end + start * np.exp(-rate * steps) + 0.02 * stream.normal(size=(STEPS, CURVES))).T.tolist()


def replayed(folder: Path, rule: str, cohort: int | str) -> Path:
    (folder / "curves.json").write_text(json.dumps(recorded()))
    (folder / "replay.py").write_text(REPLAY)
    (folder / "curves.yaml").write_text(f"{SWEEP}scheduler: {RULES[rule][0]}\nresources: {{cohort: {cohort}}}\n")
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

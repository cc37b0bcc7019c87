"""Small simulated runs, and what has to be true of every run, whatever befell it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from prompt import decisions

from analysis import records
from analysis.records import ENDINGS, FINAL
from sweeps import resolve, run, simulation

STACKS = """
from dataclasses import dataclass
from trainables.api import PerMember

@dataclass(frozen=True)
class Config:
    a: PerMember[int] = 1
    lr: PerMember[float] = 0.1

def steps(config):
    return 27

def run(configs, trials):
    raise AssertionError("nothing is trained in a simulation")
"""

SWEEP = """
sweep: made-up
question: Does anything get lost?
trainable: {trainable}
factors: {{a: [1, 2, 3]}}
nuisance: {{lr: {{low: 0.01, high: 1.0, log: true}}}}
objective: {{minimize: loss}}
search: {{sampler: {sampler}, points: {points}}}
scheduler: {{name: {scheduler}, grace_steps: 3}}
seeds: {{tune: {seeds}, confirm: 3}}
resources: {{retries: {retries}, cohort: {cohort}}}
"""


def make(folder: Path, world: dict[str, Any], **keys: Any) -> Path:
    """A run that has not begun."""
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"sampler": "random", "points": 8, "scheduler": "none", "seeds": 1, "retries": 2, "cohort": "auto"}
    (folder / "stacks.py").write_text(STACKS)
    (folder / "made-up.yaml").write_text(SWEEP.format(trainable="stacks.py:run", **{**usual, **keys}))
    words = [f"{name}={value}" for name, value in world.items()]
    return run.create(resolve.load(folder / "made-up.yaml"), folder / "runs", simulation.world(words))


def go(target: Path) -> str:
    return run.drive(target, run.Options())


def values(target: Path) -> dict[str, dict[str, float]]:
    return {record["trial"]: record["values"] for record in decisions(target, "done")}


def written(target: Path) -> list[records.Record]:
    """Everything that a run has recorded."""
    return [
        *records.read_decisions(target).records,
        *(r for lines in records.read_segments(target) for r in lines.records),
    ]


def lost_or_repeated(target: Path, retries: int) -> list[str]:
    """What is wrong with a finished run: trials without an end, or with two, or that went on after it; and so on."""
    wrong: list[str] = []
    lives: dict[str, list[tuple[str, int]]] = defaultdict(list)
    blamed: Counter[str] = Counter()
    for record in decisions(target, "started", *ENDINGS):
        lives[record["trial"]].append((record["kind"], record["attempt"]))
        own = record.get("cause") == "process died" and "suspects" not in record
        blamed[record["trial"]] += own and record["kind"] == "lost"
        if record["kind"] in ("failed", "lost") and not record["error"]:
            wrong.append(f"{record['trial']} {record['kind']} without a trace")
    planned = [record["trial"] for record in decisions(target, "planned")]
    wrong += [f"{trial} planned {count} times" for trial, count in Counter(planned).items() if count > 1]
    wrong += [f"{trial} never planned" for trial in lives if trial not in set(planned)]
    for trial in planned:
        kinds = [kind for kind, _ in lives[trial]]
        final = [kind for kind in kinds if kind in FINAL]
        if len(final) != 1 or kinds[-1] != final[0]:
            wrong.append(f"{trial}: {kinds}")
        started = [attempt for kind, attempt in lives[trial] if kind == "started"]
        if started != list(range(1, len(started) + 1)):
            wrong.append(f"{trial}: attempts {started}")
        if blamed[trial] > retries:
            wrong.append(f"{trial}: lost {blamed[trial]} times by its own fault and tried again")
    return wrong

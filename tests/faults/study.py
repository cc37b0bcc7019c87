"""The small sweep that is disturbed, what it finds undisturbed, and what has to hold of it whatever happened."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from prompt import decisions

from analysis import records
from analysis.frames import load

STEPS = 4

_ALONE = f"""
def train(config, trial):
    first = trial.restored["step"] + 1 if trial.restored else 1
    for step in range(first, {STEPS} + 1):
        pause()
        yield report(config["a"], config["lr"], trial, step)
"""

_STACKED = f"""
from dataclasses import dataclass
from trainables.api import PerMember

@dataclass(frozen=True)
class Config:
    a: PerMember[int] = 1
    lr: PerMember[float] = 0.1

def train(configs: list[Config], trials):
    at = [trial.restored["step"] if trial.restored else 0 for trial in trials]
    while going := [n for n, trial in enumerate(trials) if trial.wanted and at[n] < {STEPS}]:
        pause()
        reports = {{}}
        for n in going:
            at[n] += 1
            reports[n] = report(configs[n].a, configs[n].lr, trials[n], at[n])
            if at[n] == {STEPS}:
                trials[n].finish()
        yield reports
"""

_COMMON = """
import json, os, time
from pathlib import Path

HERE = Path(__file__).parent

def pause():
    time.sleep(float((HERE / "pause").read_text()))

def report(a, lr, trial, step):
    trial.checkpoint(lambda: {"step": step})
    noise = trial.streams.numpy(f"noise {step}").normal()
    return {"step": step, "loss": misfortune(trial, step, (lr - 0.1 * a) ** 2 + 0.01 * noise / step)}

def misfortune(trial, step, loss):
    \"\"\"What has to happen once, to whoever gets to this step first.\"\"\"
    for event in HERE.glob("event-*"):
        what = json.loads(event.read_text())
        if step == what["step"] and what.get("trial", trial.id) == trial.id:
            event.rename(HERE / f"was-{event.name}")
            exec(what["code"])
            return eval(what.get("loss", "loss"))
    return loss
"""

SWEEP = """
sweep: bowl
question: Which a is lower?
trainable: bowl.py:train
factors: {a: [1, 2]}
nuisance: {lr: {low: 0.01, high: 1.0, log: true}}
objective: {minimize: loss}
search: {sampler: random, points: 4}
seeds: {tune: 1, confirm: 2}
resources: {retries: 50}
"""


Values = dict[str, dict[str, float]]
Curves = dict[tuple[str, int], float]


@dataclass
class Place:
    """A folder with the sweep, its trainable, which may be one that stacks trials, and its only run."""

    folder: Path
    pause_s: float = 0.004
    extra: list[str] = field(default_factory=lambda: ["--inline"])
    stacked: bool = False

    def __post_init__(self) -> None:
        self.write()

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "bowl.py").write_text(_COMMON + (_STACKED if self.stacked else _ALONE))
        (self.folder / "bowl.yaml").write_text(SWEEP)
        (self.folder / "pause").write_text(str(self.pause_s))

    @property
    def run(self) -> Path:
        """The last that has begun; one that found no room at its very beginning is of no interest."""
        begun = sorted((self.folder / "runs").glob("bowl/*/ledger/decisions.jsonl"))
        return begun[-1].parent.parent if begun else self.folder

    @property
    def begun(self) -> bool:
        return self.run != self.folder

    @property
    def command(self) -> list[str]:
        return ["resume", "bowl", *self.extra] if self.begun else ["run", "bowl.yaml", *self.extra]

    def start(self, *more: str, prepare: Callable[[], None] = lambda: None) -> multiprocessing.Process:
        """A driver in a process of its own: a fork, for which nothing has to be imported."""
        child = multiprocessing.get_context("fork").Process(target=_drive, args=(self, [*self.command, *more], prepare))
        child.start()
        return child

    def finish(self, *more: str, timeout_s: float = 60.0) -> int:
        """Let a driver come to its end; its exit code."""
        child = self.start(*more)
        child.join(timeout_s)
        if child.exitcode is None:
            child.kill()
            raise TimeoutError(f"{self.folder}: the driver hangs")
        return child.exitcode

    def said(self) -> str:
        """What the last driver has printed."""
        return (self.folder / "said").read_text(errors="replace")


def _drive(place: Place, words: list[str], prepare: Callable[[], None]) -> None:
    """The command line in a forked process, which saves a checkpoint at every report and writes no HTML."""
    from sweeps import cli, cli_analysis
    from trainables import cohort

    os.chdir(place.folder)
    with (place.folder / "said").open("w") as said, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(mock.patch.object(cli_analysis, "write_report"))
        stack.enter_context(mock.patch.object(cohort.Pace, "due", property(lambda _: True)))
        stack.enter_context(mock.patch.object(sys, "argv", ["assay", *words]))
        stack.enter_context(mock.patch("cluster.failures._FIRST_WAIT_S", 0.02))
        prepare()
        try:
            cli.main()
        except SystemExit as leaving:
            said.flush()
            os._exit(int(leaving.code or 0))
        except BaseException:  # noqa: BLE001 - of a process that ends with it
            import traceback

            traceback.print_exc(file=said)
            said.flush()
            os._exit(70)
        said.flush()
        os._exit(0)


@dataclass(frozen=True)
class Found:
    """What a run has found: the values that the search saw, and every number that was reported."""

    values: Values
    curves: Curves


def found(run: Path) -> Found:
    done = {r["trial"]: r["values"] for r in decisions(run, "done")}
    table = load(run).reports
    rows = zip(table["trial"], table["step"], table["value"], strict=True)
    return Found(done, {(trial, step): value for trial, step, value in rows})


def wrongs(run: Path, undisturbed: Found, excused: int = 0) -> list[str]:
    """What is wrong with a run that has come to its end. ``excused`` trials may have failed, if they say why."""
    said: list[str] = []
    ended: Counter[str] = Counter()
    for record in decisions(run, "started", *records.ENDINGS):
        trial = record["trial"]
        if record["kind"] == "started" and ended[trial]:
            said.append(f"{trial} ran again after it was done")
        ended[trial] += record["kind"] == "done"
    planned = [record["trial"] for record in decisions(run, "planned")]
    last = {r["trial"]: r for r in decisions(run, *records.ENDINGS)}
    bad = [t for t in planned if t not in ended or ended[t] != 1]
    honest = [t for t in bad if t in last and last[t]["kind"] in ("failed", "diverged") and last[t]["error"].strip()]
    said += [f"{t} is neither done once nor failed with a reason" for t in bad if t not in honest]
    if len(honest) > excused:
        said.append(f"{len(honest)} trials failed or diverged, {excused} were made to: {last[honest[0]]['error']}")
    if len(set(planned)) != len(planned):
        said.append("a trial was planned twice")
    seen = found(run)
    if not excused:
        missing = undisturbed.values.keys() ^ seen.values.keys()
        said += [f"{t} is in one of the two runs only" for t in missing]
    both = undisturbed.values.keys() & seen.values.keys()
    said += [f"{t} found other values" for t in both if undisturbed.values[t] != seen.values[t]]
    steps = {(t, s) for t in both for s in range(1, STEPS + 1)}
    said += [f"{t} has no report of step {s}" for t, s in steps if (t, s) not in seen.curves]
    said += [
        f"{t} reported something else at step {s}"
        for t, s in steps & seen.curves.keys() & undisturbed.curves.keys()
        if seen.curves[t, s] != undisturbed.curves[t, s]
    ]
    return said


def moments(rng: random.Random, longest_s: float) -> float:
    """A random moment; early ones are as likely as late ones, and a tenth are at the very beginning."""
    return rng.uniform(0, 0.1 if rng.random() < 0.1 else 1.0) * longest_s

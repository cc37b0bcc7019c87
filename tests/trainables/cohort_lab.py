"""Cohorts of a trainable whose reports have a closed form, and which goes wrong as it is told to."""

from __future__ import annotations

import textwrap

import pytest

from trainables import registry
from trainables.api import Order
from trainables.cohort import Cohort

WALK = """
import torch
from trainables.api import Diverged

STACKED = []  # the ids that were in the stack, at each step

def run(configs, trials):
    states = [dict(trial.restored or {"step": 0, "x": 0.0}) for trial in trials]
    while going := [n for n, t in enumerate(trials) if t.wanted and states[n]["step"] < configs[n].get("steps", 4)]:
        STACKED.append([trials[n].id for n in going])
        if len(going) > configs[0].get("memory", 99):
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield {n: step(configs[n], trials[n], states[n]) for n in going if report(configs[n], states[n])}

def report(config, state):
    state["step"] += 1
    state["x"] = 0.5 * state["x"] + config.get("lr", 1.0)
    return state["step"] % config.get("every", 1) == 0 or state["step"] == config.get("steps", 4)

def step(config, trial, state):
    trial.pulse()
    match config.get("at", {}).get(str(state["step"])):
        case "raise": raise ValueError("no luck at " + trial.id)
        case "interrupt": raise KeyboardInterrupt
        case "diverge": return Diverged("x is too large")
        case "nan": return {"step": state["step"], "loss": float("nan")}
        case "text": return {"step": state["step"], "loss": "low"}
    if config.get("offers", True):
        trial.checkpoint(lambda: dict(state))
    if state["step"] == config.get("steps", 4):
        trial.finish()
    return {"step": state["step"], "loss": state["x"]}
"""


class Log:
    """A sink that remembers."""

    def __init__(self):
        self.reports, self.closed, self.notes, self.images = [], [], [], []

    def report(self, step, metrics):
        assert not self.closed
        self.reports.append((step, metrics.get("loss")))

    def note(self, key, value):
        self.notes.append((key, value))

    def image(self, tag, step, png):
        self.images.append((tag, step, png))

    def sync(self):
        self.synced = len(self.reports)

    def close(self, outcome):
        self.closed.append(outcome)


class Lab:
    """Makes cohorts of a trainable in a file and keeps what they report."""

    def __init__(self, folder):
        self.folder, self.logs = folder, {}
        self.write(WALK)

    def write(self, source):
        (self.folder / "mine.py").write_text(textwrap.dedent(source))

    def order(self, name, config=None, **settings):
        usual = {"objectives": ("loss",), "folder": str(self.folder / name), "search_path": str(self.folder)}
        return Order(trial=name, trainable="mine.py", config=config or {}, seed=ord(name[0]), **usual | settings)

    def cohort(self, orders, **settings):
        return Cohort(orders, self.open, **settings)

    def open(self, order):
        log = self.logs.setdefault(order.trial, Log())
        log.closed = []
        return log

    def run(self, configs, **settings):
        """Run a cohort of trials a, b, c, ... with these configs to its end; how each ended."""
        return self.finish(self.cohort(self.orders(configs), **settings))

    def orders(self, configs):
        return [self.order(name, config) for name, config in zip("abcdefgh", configs, strict=False)]

    def finish(self, cohort):
        endings = {}
        for found in cohort:
            assert not endings.keys() & found.endings.keys(), "a trial has ended twice"
            endings |= found.endings
        assert cohort.over
        return endings

    @property
    def stacked(self):
        """The sizes of the stack, step by step."""
        return [len(names) for names in registry.find("mine.py", self.folder).module.STACKED]


def walk(lr=1.0, steps=4, every=1):
    """The reports of a trial that is left alone, in closed form."""
    due = [s for s in range(1, steps + 1) if s % every == 0 or s == steps]
    return [(s, pytest.approx(lr * (2 - 0.5 ** (s - 1)))) for s in due]


def outcomes(endings):
    return {name: ending.outcome for name, ending in endings.items()}

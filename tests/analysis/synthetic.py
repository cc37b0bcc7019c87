"""Run folders made by hand: a small writer of records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from analysis.records import DECISIONS, ENVIRONMENT, LOCK_FILE, VERSION, encode

Metrics = Mapping[str, float]
Curve = Callable[
    [Mapping[str, str], Mapping[str, Any], int], Sequence[Metrics]
]  # levels, params, seed -> steps 1, 2...


class Folder:
    """A run folder that grows record by record. Time is a counter, so that everything repeats."""

    def __init__(self, path: Path, lock: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.clock = 1_780_000_000.0
        (path / "ledger").mkdir(parents=True, exist_ok=True)
        if lock is not None:
            (path / LOCK_FILE).write_text(yaml.safe_dump(dict(lock), sort_keys=False), encoding="utf-8")
        environment = {
            "python": "3.11.7",
            "packages": {"torch": "2.13.0"},
            "git": {"commit": "4f2a9c1", "dirty": False},
        }
        (path / ENVIRONMENT).write_text(json.dumps(environment))

    def decide(self, kind: str, **fields: Any) -> None:
        self._append(self.path / DECISIONS, kind, fields)

    def report(self, trial: str, step: int, metrics: Metrics, attempt: int = 1, segment: str = "0") -> None:
        fields = {"trial": trial, "attempt": attempt, "step": step, "metrics": metrics}
        self._append(self.path / f"ledger/reports-{segment}.jsonl", "report", fields)

    def note(self, trial: str, key: str, value: Any, attempt: int = 1, segment: str = "0") -> None:
        fields = {"trial": trial, "attempt": attempt, "key": key, "value": value}
        self._append(self.path / f"ledger/reports-{segment}.jsonl", "note", fields)

    def _append(self, path: Path, kind: str, fields: Mapping[str, Any]) -> None:
        self.clock += 1
        with path.open("a", encoding="utf-8") as file:
            file.write(encode({"v": VERSION, "kind": kind, "time": self.clock, **fields}))

    def plan(self, trial: str, cell: str = "c", phase: str = "tune", point: str = "p", seed: int = 0) -> None:
        self.decide("planned", trial=trial, cell=cell, phase=phase, point=point, seed=seed, config={"seed": seed})

    def run(
        self, trial: str, curve: Sequence[Metrics], outcome: str = "done", attempt: int = 1, error: str = ""
    ) -> None:
        self.decide("started", trial=trial, attempt=attempt)
        for step, metrics in enumerate(curve, start=1):
            self.report(trial, step, metrics, attempt)
        self.decide(outcome, trial=trial, attempt=attempt, seconds=2.0, error=error)


def lock(factors: Mapping[str, Sequence[str]], **more: Any) -> dict[str, Any]:
    nuisance = {
        "optimizer.lr": {"low": 1e-3, "high": 1.0, "log": True},
        "label_smoothing": {"low": 0.0, "high": 0.3},
        "optimizer.name": {"choices": ["sgd", "adam"]},
    }
    return {
        "sweep": "quickstart",
        "question": "Does a convolution help on eight by eight digits?",
        "source": "arXiv:2406.11463",
        "trainable": "supervised.classify",
        "fixed": {"data": {"name": "digits"}},
        "factors": {name: list(levels) for name, levels in factors.items()},
        "nuisance": nuisance,
        "objective": {"maximize": "accuracy/validation", "at": "last"},
        "seeds": {"tune": 1, "confirm": 8},
        "claims": [],
        **more,
    }


def sweep(
    path: Path, document: Mapping[str, Any], curve: Curve, points: int = 6, seeds: int = 8, finished: bool = True
) -> Folder:
    """A whole run: every cell tuned over ``points``, its last point confirmed on ``seeds``."""
    folder = Folder(path, document)
    folder.decide("run", event="started", seconds=0)
    factors = document["factors"]
    for number, labels in enumerate(product(*factors.values())):
        _cell(folder, f"c{number}", dict(zip(factors, labels, strict=True)), curve, points, seeds)
    if finished:
        folder.decide("run", event="finished", seconds=321.5)
    return folder


def _cell(folder: Folder, cell: str, levels: Mapping[str, str], curve: Curve, points: int, seeds: int) -> None:
    folder.decide("cell", cell=cell, levels=levels)
    random = np.random.default_rng(int(cell[1:]))
    chosen: dict[str, Any] = {}
    for n in range(points):
        chosen = {
            "optimizer.lr": float(10 ** random.uniform(-3, 0)),
            "label_smoothing": float(random.uniform(0, 0.3)),
            "optimizer.name": str(random.choice(["sgd", "adam"])),
        }
        folder.decide("asked", cell=cell, number=n, point=f"p{n}", params=chosen)
        folder.plan(f"{cell}-t{n}", cell, "tune", f"p{n}", 0)
        folder.run(f"{cell}-t{n}", curve(levels, chosen, 0))
        folder.decide("told", cell=cell, number=n, state="COMPLETE", values=[0.5])
    folder.decide("winner", cell=cell, points=[f"p{points - 1}"])
    for seed in range(1000, 1000 + seeds):
        folder.plan(f"{cell}-s{seed}", cell, "confirm", f"p{points - 1}", seed)
        folder.run(f"{cell}-s{seed}", curve(levels, chosen, seed))


def noisy(top: Callable[[Mapping[str, str]], float], steps: int = 10, noise: float = 0.01) -> Curve:
    """Accuracies that rise to ``top(levels)``, best at a learning rate of 0.1."""

    def curve(levels: Mapping[str, str], params: Mapping[str, Any], seed: int) -> list[Metrics]:
        random = np.random.default_rng([seed, sum(map(ord, "".join(levels.values())))])
        end = top(levels) - 0.02 * (np.log10(params["optimizer.lr"]) + 1) ** 2 + random.normal(0, noise)
        rise = [float(end * (1 - np.exp(-step / 2))) for step in range(1, steps + 1)]
        extra = [float(random.normal(0, noise / 2)) for _ in range(steps)]
        return [
            {"accuracy/validation": a, "accuracy/test": a - 0.01 + e, "loss/test": 2.3 * (1 - a)}
            for a, e in zip(rise, extra, strict=True)
        ]

    return curve

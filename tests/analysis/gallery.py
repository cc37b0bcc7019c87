"""The figures of docs/gallery.md, from synthetic sweeps whose truth is known.

    python tests/analysis/gallery.py [FOLDER]

Writes SVG files, the same ones every time; FOLDER is docs/gallery unless given.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import Folder, lock

from analysis.answers import rows
from analysis.figures import save
from analysis.frames import load
from analysis.plates import Plate, plates
from analysis.verdicts import verdicts

MODELS = {"mlp": 0.90, "cnn": 0.95, "vit": 0.93}
Truth = Callable[[Mapping[str, Any]], float]


def claim(name: str, expect: str = "greater", **more: Any) -> dict[str, Any]:
    return {"name": name, "metric": "accuracy/test", "expect": expect, **more}


def make(path: Path, factors: Mapping[str, list[str]], truth: Truth, **options: Any) -> Folder:
    """A run on four machines at a time, tuned over learning rate, weight decay, smoothing and optimizer."""
    points, seeds, stop = (options.pop(k, v) for k, v in (("points", 16), ("seeds", 8), ("stop", False)))
    fail = options.pop("fail", lambda *_: False)
    space = {"low": 1e-6, "high": 1e-2, "log": True}
    document = lock(factors, resources={"gpus": 1, "concurrent": 4}, **options)
    document["nuisance"] = {**document["nuisance"], "optimizer.weight_decay": space}
    folder = Folder(path, document)
    folder.decide("run", event="started", seconds=0)
    for number, labels in enumerate(product(*factors.values())):
        levels = dict(zip(factors, labels, strict=True))
        folder.decide("cell", cell=f"c{number}", levels=levels)
        _cell(folder, f"c{number}", levels, truth, points, seeds, stop, fail)
    folder.decide("run", event="finished", seconds=folder.clock - 1_780_000_000)
    return folder


def _cell(folder, cell, levels, truth, points, seeds, stop, fail):
    random = np.random.default_rng(int(cell[1:]))
    tried, runs = [], []
    for n in range(points):
        params = {
            "optimizer.lr": float(10 ** random.uniform(-3, 0)),
            "optimizer.weight_decay": float(10 ** random.uniform(-6, -2)),
            "label_smoothing": float(random.uniform(0, 0.3)),
            "optimizer.name": str(random.choice(["sgd", "adam"])),
        }
        folder.decide("asked", cell=cell, number=n, point=f"{cell}p{n}", params=params)
        tried.append((worth(levels, params, truth), n, params))
        runs.append((f"{cell}-t{n}", "tune", n, 0, params))
    best = max(one for one in tried if not stop or one[1] % 4 == 2)  # the others are stopped
    _many(folder, cell, levels, truth, runs, stop, fail)
    folder.decide("winner", cell=cell, points=[f"{cell}p{best[1]}"])
    confirm = [(f"{cell}-s{s}", "confirm", best[1], s, best[2]) for s in range(1000, 1000 + seeds)]
    _many(folder, cell, levels, truth, confirm, False, fail)


def worth(levels, params, truth):
    lr, wd = np.log10(params["optimizer.lr"]) + 1, np.log10(params["optimizer.weight_decay"]) + 4
    return truth(levels) - 0.03 * lr**2 - 0.006 * (wd + 0.6 * lr) ** 2 - 0.02 * (params["optimizer.name"] == "sgd")


def _many(folder, cell, levels, truth, runs, stop, fail, steps=27):
    """Four at a time; with early stopping two of three points end at steps 3 and 9."""
    for start in range(0, len(runs), 4):
        batch = runs[start : start + 4]
        for trial, phase, n, seed, _ in batch:
            folder.plan(trial, cell, phase, f"{cell}p{n}", seed)
            folder.decide("started", trial=trial, attempt=1)
        for place, (trial, phase, n, seed, params) in enumerate(batch):
            folder.clock += 9 + 3 * place
            last = [3, 9, steps][place % 3] if stop and phase == "tune" else steps
            bad = fail(levels, seed)
            _trial(folder, trial, levels, params, truth, seed, last if not bad else 2)
            if stop and phase == "tune":
                for rung in (r for r in (3, 9, steps) if r <= last):
                    value = worth(levels, params, truth) * (1 - np.exp(-rung / 6))
                    prune = rung == last < steps
                    folder.decide("judged", cell=cell, number=n, step=rung, value=value, prune=prune)
            outcome = "diverged" if bad else "pruned" if last < steps else "done"
            error = "loss is nan at step 2" if bad else ""
            folder.decide(outcome, trial=trial, attempt=1, seconds=40.0 + place, error=error)
            if phase == "tune":
                state = {"done": "COMPLETE", "pruned": "PRUNED", "diverged": "FAIL"}[outcome]
                folder.decide("told", cell=cell, number=n, state=state, values=[worth(levels, params, truth)])


def _trial(folder, trial, levels, params, truth, seed, steps):
    random = np.random.default_rng([seed, sum(map(ord, trial))])
    luck = random.normal(0, 0.006)
    for step in range(1, steps + 1):
        value = (worth(levels, params, truth) + luck) * (1 - np.exp(-step / 6))
        size = float(levels.get("model.width", 16)) * 1000
        metrics = {
            "accuracy/validation": value,
            "accuracy/test": value - 0.01 + random.normal(0, 0.003),
            "loss/test": 2.3 * (1 - value),
            "calibration_error/test": abs(random.normal(0.04, 0.01)),
            "step_time_s": 0.001 * size * (1 + 0.1 * random.random()),
        }
        if step == steps:
            for b in range(5):
                sure = 0.2 * b + 0.1
                right = sure - 0.08 * (sure - 0.5) + random.normal(0, 0.02)
                metrics |= {f"confidence_bin_{b}": sure, f"accuracy_bin_{b}": right}
        folder.report(trial, step, metrics)


def by_model(levels):
    return MODELS[levels["model.name"]]


def by_width(levels):
    width, depth = float(levels["model.width"]), float(levels["model.depth"])
    return 0.97 - 0.9 / width - 0.012 * (np.log2(depth) - 2) ** 2


def both(levels):
    return MODELS.get(levels["model.name"], 0.9) + 0.02 - 0.5 / float(levels["model.width"])


def one_factor(path: Path, **more: Any) -> Folder:
    claims = [
        claim("cnn beats mlp", where={"model.name": "cnn"}, against={"model.name": "mlp"}),
        claim("cnn beats vit", where={"model.name": "cnn"}, against={"model.name": "vit"}),
        claim("mlp reaches 95 percent", "between", where={"model.name": "mlp"}, low=0.95),
    ]
    return make(path, {"model.name": list(MODELS)}, by_model, claims=claims, **more)


def two_numbers(path: Path) -> Folder:
    widths, depths = ["8", "16", "32", "64", "128"], ["1", "2", "4", "8"]
    claims = [claim("wider is better", "increases", along="model.width")]
    return make(path, {"model.width": widths, "model.depth": depths}, by_width, claims=claims, points=8, seeds=5)


def names_and_numbers(path: Path, seeds: int = 8) -> Folder:
    return make(path, {"model.name": list(MODELS), "model.width": ["8", "16", "32", "64"]}, both, seeds=seeds)


def large(path: Path, cells: int = 60) -> Folder:
    names = [f"{kind} {n}" for kind in MODELS for n in range(cells // 12)]
    return make(
        path,
        {"model.name": names, "model.width": ["8", "16", "32", "64"]},
        lambda levels: both({**levels, "model.name": levels["model.name"].split()[0]}),
        points=6,
        seeds=3,
    )


def failures(path: Path) -> Folder:
    return one_factor(path, fail=lambda levels, seed: levels["model.name"] == "vit" and seed % 3 == 0)


def stopping(path: Path) -> Folder:
    return one_factor(path, stop=True, points=24)


def pareto(path: Path) -> Folder:
    goals = [{"maximize": "accuracy"}, {"minimize": "step_time_s"}]
    folder = Folder(path, lock({"model.name": ["mlp", "cnn"]}, objective=goals))
    folder.decide("run", event="started", seconds=0)
    for c, model in enumerate(("mlp", "cnn")):
        folder.decide("cell", cell=f"c{c}", levels={"model.name": model})
        for n in range(6):
            folder.decide("asked", cell=f"c{c}", number=n, point=f"{c}p{n}", params={"width": 8 * 2**n})
        folder.decide("winner", cell=f"c{c}", points=[f"{c}p{n}" for n in range(6)])
        for n, seed in product(range(6), range(1000, 1008)):
            random = np.random.default_rng([c, n, seed])
            time = (1 + c) * 0.02 * 1.6**n * (1 + random.normal(0, 0.05))
            metrics = {"accuracy": MODELS[model] - 0.2 / (n + 1.5) + random.normal(0, 0.008), "step_time_s": time}
            folder.plan(f"{c}-{n}-{seed}", f"c{c}", "confirm", f"{c}p{n}", seed)
            folder.run(f"{c}-{n}-{seed}", [metrics])
    folder.decide("run", event="finished", seconds=folder.clock - 1_780_000_000)
    return folder


SWEEPS: dict[str, Callable[[Path], Folder]] = {
    "one_factor": one_factor,
    "two_numbers": two_numbers,
    "names_and_numbers": names_and_numbers,
    "pareto": pareto,
    "large": large,
    "failures": failures,
    "stopping": stopping,
}

# What the gallery shows of which sweep: file names begin with the name of the panel.
SHOWN = {
    "one_factor": (
        "answer",
        "claims",
        "curve0",
        "nuisance0",
        "contours",
        "parallel",
        "importance",
        "budget",
        "reliability0",
    ),
    "two_numbers": ("phase",),
    "names_and_numbers": ("response0",),
    "pareto": ("front0",),
    "stopping": ("rungs", "utilisation"),
}


def drawn(path: Path) -> list[Plate]:
    run = load(path)
    return plates(run, rows(run), verdicts(run))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, wanted in SHOWN.items():
            SWEEPS[name](Path(scratch) / name)
            panels = {panel.name: panel for plate in drawn(Path(scratch) / name) for panel in plate.panels}
            for panel in wanted:
                save(panels[panel].figure, folder / f"{panel.rstrip('0')}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs/gallery")

"""How often the verdicts of whole runs are wrong, by simulation: reports in, verdicts out.

Every claim stands on its border, where any verdict but *undecided* is an error. Noise has a standard deviation of 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from simulation import NOISES, SIZES, Row
from synthetic import Folder, lock

from analysis.claims import claims_of
from analysis.correlation import spearman
from analysis.evidence import Evidence
from analysis.frames import Run, load
from analysis.stats import LEVEL
from analysis.verdicts import Look, judge

METRICS = ["a", "b"]
GOALS = [{"maximize": metric} for metric in METRICS]
COPIES = 25  # of a sweep in one run, each with a claim of its own
DEVIATIONS = {"normal": 1.0, "skewed": np.pi / np.sqrt(6), "very skewed": 1.0}


@dataclass(frozen=True)
class Border:
    """A sweep along ``x`` = 1, 2, ... with a claim on its border.

    Attributes:
        means: of shape (cells, metrics).
    """

    name: str
    means: np.ndarray
    claim: Mapping[str, Any]


def same(*means: float) -> np.ndarray:
    """Both metrics have these means."""
    return np.column_stack([means, means])


MEAN = {"metric": "a", "where": {"x": 1}, "expect": "between", "low": 0}
DIFFERENCE = {"metric": "a", "where": {"x": 1}, "against": {"x": 2}, "expect": "greater"}
TREND = {"metric": "a", "expect": "increases", "along": "x"}
PEAK = {"metric": "a", "expect": "peaks_at", "along": "x", "low": 2, "high": 2}
FRONT = {"metrics": METRICS, "where": {"x": "<= 2"}, "against": {"x": "> 2"}, "expect": "front_dominates"}
FRONT_OF_ONE = {**FRONT, "where": {"x": 1}, "against": {"x": 2}}
CORRELATION = {"metrics": METRICS, "expect": "correlation_at_least"}

BORDERS = [
    Border("one mean", same(0), MEAN),
    Border("difference", same(0, 0), DIFFERENCE),
    Border("trend, 4 levels", same(0, 0, 0, 0), TREND),
    Border("peak, flat", same(0, 0, 0, 0), PEAK),
    Border("peak, as high elsewhere", same(-4, 0, 0, -4), PEAK),
    Border("front, all the same", same(0, 0, 0, 0), FRONT),
    Border("front of one, level in one metric", np.array([[0, 4], [0, 0]], dtype=float), FRONT_OF_ONE),
    Border("front of two, level in one metric", np.array([[4, 0], [0, 4], [0, 0], [-4, 4]], dtype=float), FRONT),
    *(
        Border(f"correlation, {cells} cells, {words}", same(*np.linspace(-height, height, cells)), CORRELATION)
        for cells in (4, 8)
        for words, height in (("none", 0.0), ("middling", 1.0), ("high", 3.0))
    ),
]


def with_noise(means: np.ndarray, noise: str, random: np.random.Generator, *shape: int) -> np.ndarray:
    """Of shape (*shape, cells, metrics)."""
    return means + NOISES[noise](random, (*shape, *means.shape)) / DEVIATIONS[noise]


def claimed(border: Border, noise: str) -> dict[str, Any]:
    """The claim; one of a correlation says what it is, on average over many seeds."""
    if border.claim["expect"] != "correlation_at_least":
        return {"where": {}, **border.claim}
    draws = with_noise(border.means, noise, np.random.default_rng(1), 100_000)
    return {"where": {}, **border.claim, "low": float(spearman(draws[..., 0], draws[..., 1]).mean())}


def run_of(cells: int, seeds: int, claims: list[Mapping[str, Any]], copies: int = 1) -> Run:
    """A finished run whose reports are all 0. The reports lie in the order copy, cell, seed, metric."""
    named = [{**claim, "name": f"{number}"} for number, claim in enumerate(claims)]
    factors = {"copy": [f"{copy}" for copy in range(copies)], "x": [f"{x + 1}" for x in range(cells)]}
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(Path(path), lock(factors, claims=named, objective=GOALS))
        for copy in range(copies):
            for x in range(cells):
                cell = f"{copy:03}-{x}"
                folder.decide("cell", cell=cell, levels={"copy": copy, "x": x + 1})
                folder.decide("winner", cell=cell, points=["p"])
                for seed in range(seeds):
                    folder.plan(f"{cell}-{seed:03}", cell, "confirm", "p", 1000 + seed)
                    folder.run(f"{cell}-{seed:03}", [dict.fromkeys(METRICS, 0.0)])
        return load(Path(path))


def filled(run: Run, values: np.ndarray) -> Run:
    """``values``: of shape (copies, seeds, cells, metrics)."""
    return replace(run, reports=run.reports.assign(value=np.moveaxis(values, 1, 2).ravel()))


def errors(border: Border, noise: str, seeds: int, number: int) -> float:
    """The share of wrong verdicts among this many runs, ``COPIES`` of which are judged at a time."""
    claim = claimed(border, noise)
    run = run_of(len(border.means), seeds, [_of_copy(claim, copy) for copy in range(COPIES)], COPIES)
    random = np.random.default_rng([seeds, *map(ord, border.name + noise)])
    draws = (with_noise(border.means, noise, random, COPIES, seeds) for _ in range(number // COPIES))
    return float(np.mean([one for values in draws for one in _decided(filled(run, values))]))


def _of_copy(claim: Mapping[str, Any], copy: int) -> Mapping[str, Any]:
    return {key: {"copy": copy, **part} if key in ("where", "against") else part for key, part in claim.items()}


def _decided(run: Run) -> list[bool]:
    """Whether each claim is, judged as ``judge`` does it with the only claim of a sweep."""
    evidence = Evidence(run)
    looks = [Look(claim, evidence.groups(claim)) for claim in claims_of(run.lock)]
    return [look.verdict(LEVEL, look.p).verdict != "undecided" for look in looks]


def wrong_verdicts(number: int) -> Iterator[Row]:
    for border in BORDERS:
        yield Row(border.name, True, {(n, s): errors(border, n, s, number) for n in NOISES for s in SIZES})


def families(noise: str, seeds: int, number: int = 1000) -> float:
    """The share of runs in which any of four claims is decided, all of them on their borders."""
    run = run_of(4, seeds, [MEAN, DIFFERENCE, TREND, PEAK])
    random = np.random.default_rng([seeds, *map(ord, noise)])
    draws = (with_noise(same(0, 0, 0, 0), noise, random, 1, seeds) for _ in range(number))
    return float(np.mean([any(j.verdict.verdict != "undecided" for j in judge(filled(run, d))) for d in draws]))

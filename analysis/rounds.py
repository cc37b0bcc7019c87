"""Which cells a sequential confirmation gives more seeds next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from analysis import sequential
from analysis.frames import Run
from analysis.verdicts import Judged, judge


def declared(run: Run, first: int) -> Mapping[str, int]:
    """The first look: every cell that a testable claim is about, and the seeds that it was given from the start."""
    return {cell: first for judged in judge(run) for cell in judged.cells}


def with_looks(run: Run, given: Mapping[str, int], most: int) -> Run:
    """The run as it is once these looks are in its ledger."""
    rows = [{"cell": cell, "seeds": seeds, "most": most} for cell, seeds in given.items()]
    return replace(run, looks=pd.DataFrame.from_records(rows, columns=["cell", "seeds", "most"]))


def next_round(run: Run) -> Mapping[str, int]:
    """Cell -> so many confirm seeds in all; empty if no undecided claim can be helped."""
    wanted: dict[str, int] = {}
    for judged in judge(run):
        if seeds := _wanted(judged):
            wanted |= {cell: max(seeds, wanted.get(cell, 0)) for cell in judged.cells}
    given = dict(zip(run.looks["cell"], run.looks["seeds"], strict=True))  # the last record of a cell has the most
    return {cell: seeds for cell, seeds in wanted.items() if seeds > given.get(cell, 0)}


def _wanted(judged: Judged) -> int:
    """The seeds of the next look of a claim; 0 if it is decided, at its limit, or given up."""
    looks = judged.looks
    if judged.verdict.verdict != "undecided" or not looks.seeds or looks.seeds[-1] >= looks.most:
        return 0
    plan = sequential.schedule(looks.seeds[0], looks.most)
    last = sequential.levels(tuple(seeds / looks.most for seeds in plan), judged.alpha)[-1]
    hopeless = sequential.chance(judged.raw_p, looks.seeds[-1], looks.most, last) < sequential.HOPE
    if hopeless and not math.isnan(judged.raw_p):
        return 0
    return next(seeds for seeds in plan if seeds > looks.seeds[-1])

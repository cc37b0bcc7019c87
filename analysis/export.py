"""The frames of runs as files for other programs: flat tables, in Parquet and CSV.

| table | one row per |
|---|---|
| cells | cell: its level of every factor |
| trials | trial: what it was, what became of it, its nuisance parameters, its config as JSON |
| attempts | attempt of a trial: when it began and ended, and how |
| points | point of a search: its nuisance parameters, its state, what each objective was told |
| winners | confirmed point of a cell |
| judged | decision of the scheduler |
| reports | trial, step and metric |
| notes | trial and key; the value as JSON |
| events | beginning or end of a life of the driver |

The first column of every table is the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import Run, beside
from analysis.replicates import objectives

FORMATS = ("parquet", "csv")


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """Every frame of a run without dictionaries or lists in it; see the top of this file."""
    found = _tables(run)
    return {name: frame.assign(simulated=True) for name, frame in found.items()} if run.simulated else found


def _tables(run: Run) -> dict[str, pd.DataFrame]:
    return {
        "cells": run.cells.reset_index(),
        "trials": _with_params(run.trials).assign(config=[_json(config) for config in run.trials["config"]]),
        "attempts": run.attempts,
        "points": _told(_with_params(run.points), run),
        "winners": _with_params(run.winners),
        "judged": run.judged,
        "reports": run.reports,
        "notes": run.notes.assign(value=[_json(value) for value in run.notes["value"]]),
        "events": run.events.drop(columns="simulated", errors="ignore"),
    }


def write(runs: Mapping[str, Run], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write one file per table and format, of all runs together, and return the files. Runs are by name."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name: tables(run) for name, run in runs.items()}
    return [file for table in next(iter(named.values())) for file in _files(table, named, folder, formats)]


def _files(table: str, runs: Mapping[str, Any], folder: Path, formats: Sequence[str]) -> Iterator[Path]:
    frame = _labelled({name: frames[table] for name, frames in runs.items()})
    for kind in formats:
        target = folder / f"{table}.{kind}"
        temporary = target.with_name(f".{target.name}")
        if kind == "csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
        temporary.replace(target)
        yield target


def _labelled(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """On top of each other, with the name of the run in front, and every column of one type."""
    full = {name: frame for name, frame in frames.items() if len(frame)} or dict(list(frames.items())[:1])
    stacked = pd.concat(full.values(), ignore_index=True)
    names = [name for name, frame in full.items() for _ in range(len(frame))]
    stacked.insert(0, "run" if "run" not in stacked else "run (folder)", pd.Categorical(names))
    return stacked.assign(**{c: _of_one_type(stacked[c]) for c in stacked if stacked[c].dtype == object})


def _of_one_type(column: Any) -> Any:
    """Numbers as numbers, the truth as truth; text or a mixture as text."""
    column = column.infer_objects()
    if column.dtype != object:
        return column
    there = column.dropna()
    kinds = {type(value) for value in there}
    if kinds <= {bool} or kinds <= {str}:
        return column
    if kinds <= {int, float}:
        return column.astype(float) if kinds == {float} or len(there) < len(column) else pd.to_numeric(column)
    return column.map(lambda v: v if isinstance(v, str) else _json(v), na_action="ignore")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _with_params(frame: pd.DataFrame) -> pd.DataFrame:
    chosen = pd.DataFrame(frame["params"].tolist(), index=frame.index)
    return beside(frame.drop(columns="params"), chosen, "nuisance")


def _told(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The list of values as one column per objective."""
    told = [values if isinstance(values, list) else [] for values in frame["values"]]
    names = [objective.metric for objective in objectives(run.lock)]
    columns = {name: [v[n] if n < len(v) else None for v in told] for n, name in enumerate(names)}
    worth = pd.DataFrame(columns, index=frame.index, dtype=float)
    return beside(frame.drop(columns="values"), worth, "objective")

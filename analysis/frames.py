"""A run folder as tidy frames, while it runs or afterwards.

The rule of the last attempt. An interrupted trial goes on from its last checkpoint, so several attempts may have
written the same steps. A row of an attempt is dropped exactly if a later attempt *covers* its step: that is, if the
step lies between the first and the last step that the later attempt wrote, or anywhere after the first one if the
later attempt came to an end of its own (done, pruned, diverged, failed), because then the trial ended there. What a
later attempt has not reached yet stays, and what lies before its first step always stays. Hence no gap, no double.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from analysis.records import ENDINGS, ENVIRONMENT, FINAL, LOCK_FILE, LedgerError, Record, read_decisions
from analysis.segments import compact, compacted_records, read_reports

__all__ = ["Run", "beside", "compact", "compacted_records", "label", "last_attempts", "load"]

_Params = dict[tuple[str, str], dict[str, Any]]  # cell and point -> the values of its nuisance parameters


@dataclass(frozen=True, eq=False)
class Run:
    """The frames of one run.

    Attributes:
        cells: index ``cell``, one column per factor, labels as text.
        trials: trial, cell, phase, point, seed, outcome (last ending, or running, or planned), attempts, seconds
            (of all attempts), error, config, params (dict), then one column per factor.
        points: cell, number, point, params (dict), state, values.
        winners: cell, point, params; several rows per cell for a Pareto front.
        reports: trial, step, metric, value; see the rule above. Sorted by trial and step.
        notes: trial, key, value; the last note of each key.
        events: event, seconds, time; the lives of the driver.
        torn: lines that were cut off by a kill.
    """

    path: Path
    lock: Mapping[str, Any]
    environment: Mapping[str, Any]
    cells: pd.DataFrame
    trials: pd.DataFrame
    points: pd.DataFrame
    winners: pd.DataFrame
    reports: pd.DataFrame
    notes: pd.DataFrame
    events: pd.DataFrame
    torn: int


def load(run: Path) -> Run:
    """Read everything; raises LedgerError if this is no run folder or the ledger is damaged."""
    lock = _lock(run)
    decisions = read_decisions(run)
    if not lock and not decisions.end:
        raise LedgerError(f"{run}: not a run folder: it has neither a ledger nor a {LOCK_FILE}")
    records = decisions.records
    cells, params = _cells(records), _params(records)
    table, torn = read_reports(run)
    raw = table.unify_dictionaries().to_pandas()
    return Run(
        path=run,
        lock=lock,
        environment=_environment(run),
        cells=cells,
        trials=_trials(records, cells, params),
        points=_points(records),
        winners=_winners(records, params),
        reports=_reports(raw[raw["kind"] == "report"], _ends(records)),
        notes=_notes(raw[raw["kind"] == "note"]),
        events=_frame(_of(records, "run"), ["event", "seconds", "time"]),
        torn=decisions.torn + sum(torn.values()),
    )


def _lock(run: Path) -> dict[str, Any]:
    path = run / LOCK_FILE
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: not readable as YAML: {error}") from None
    return lock if isinstance(lock, dict) else {}


def _environment(run: Path) -> dict[str, Any]:
    path = run / ENVIRONMENT
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise LedgerError(f"{path}: damaged: {error}") from None


def _of(records: Iterable[Record], *kinds: str) -> list[Record]:
    return [r for r in records if r["kind"] in kinds]


def _frame(records: list[Record], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame.from_records(records, columns=columns) if records else pd.DataFrame(columns=columns)


def _cells(records: list[Record]) -> pd.DataFrame:
    """The cells of the sweep as it was last run; an edited sweep may have left some behind."""
    levels = {r["cell"]: {k: label(v) for k, v in r["levels"].items()} for r in _of(records, "cell")}
    wanted = next((r["cells"] for r in reversed(records) if r["kind"] == "run" and "cells" in r), list(levels))
    kept = {cell: levels[cell] for cell in wanted if cell in levels}
    return pd.DataFrame.from_dict(kept, orient="index", dtype=object).reindex(list(kept)).rename_axis(index="cell")


def label(level: Any) -> str:
    """A level as text, the way that YAML writes it."""
    return str(level).lower() if isinstance(level, bool) else str(level)


def _points(records: list[Record]) -> pd.DataFrame:
    asked = _frame(_of(records, "asked"), ["cell", "number", "point", "params"])
    told = _frame(_of(records, "told"), ["cell", "number", "state", "values"])
    key = ["cell", "number"]
    return asked.drop_duplicates(key, keep="last").merge(told.drop_duplicates(key, keep="last"), on=key, how="left")


def _params(records: list[Record]) -> _Params:
    return {(r["cell"], r["point"]): r["params"] for r in _of(records, "asked")}


def _winners(records: list[Record], params: _Params) -> pd.DataFrame:
    last = {r["cell"]: r["points"] for r in _of(records, "winner")}
    pairs = [(cell, point) for cell, chosen in last.items() for point in chosen]
    return _with_params(pd.DataFrame(pairs, columns=["cell", "point"], dtype=object), params)


def _with_params(frame: pd.DataFrame, params: _Params) -> pd.DataFrame:
    return frame.assign(params=[params.get(key, {}) for key in zip(frame["cell"], frame["point"], strict=True)])


def _trials(records: list[Record], cells: pd.DataFrame, params: _Params) -> pd.DataFrame:
    planned = _frame(_of(records, "planned"), ["trial", "cell", "phase", "point", "seed", "config"])
    planned = planned.drop_duplicates("trial", keep="last").reset_index(drop=True)
    history = _frame(_of(records, "started", *ENDINGS), ["trial", "kind", "attempt", "seconds", "error"])
    last = history.drop_duplicates("trial", keep="last").set_index("trial").reindex(planned["trial"])
    spent = history.groupby("trial").agg(seconds=("seconds", "sum")).reindex(planned["trial"])
    trials = planned.assign(
        outcome=_or(last["kind"].replace({"started": "running"}), "planned"),
        attempts=last["attempt"].to_numpy(dtype=float, na_value=0).astype(int),
        seconds=spent["seconds"].to_numpy(dtype=float, na_value=0),
        error=_or(last["error"], ""),
    )
    return beside(_with_params(trials, params), cells, "factor", on="cell")


def _or(texts: Iterable[Any], missing: str) -> list[str]:
    return [text if isinstance(text, str) else missing for text in texts]


def beside(frame: pd.DataFrame, more: pd.DataFrame, kind: str, on: str | None = None) -> pd.DataFrame:
    """Add the columns of ``more``; one that is called as a column that is there gets its kind behind its name."""
    return frame.join(more.rename(columns={c: f"{c} ({kind})" for c in more if c in frame}), on=on)


def _ends(records: list[Record]) -> pd.DataFrame:
    """The attempts that came to an end of their own."""
    return _frame(_of(records, *FINAL), ["trial", "attempt"])


def _reports(raw: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    rows = raw.rename(columns={"name": "metric", "number": "value"})
    for column in ("trial", "metric"):  # an order that does not depend on which process wrote first
        rows[column] = rows[column].cat.set_categories(sorted(rows[column].unique()))
    kept: pd.DataFrame = rows.loc[last_attempts(rows, ends), ["trial", "step", "metric", "value"]]
    kept = kept.drop_duplicates(["trial", "step", "metric"], keep="last")
    return kept.sort_values(["trial", "step"], kind="stable").reset_index(drop=True)


def last_attempts(rows: pd.DataFrame, ends: pd.DataFrame) -> np.ndarray:
    """Which rows stay, by the rule at the top of this file.

    Args:
        rows: trial (categorical), attempt, step.
        ends: trial and attempt of those that came to an end of their own.
    """
    trial, attempt, step = rows["trial"].cat.codes.to_numpy(), rows["attempt"].to_numpy(), rows["step"].to_numpy()
    spans = rows.groupby(["trial", "attempt"], observed=True)["step"].agg(["min", "max"]).astype(float)
    ended = pd.MultiIndex.from_arrays([ends["trial"], ends["attempt"]])
    spans.loc[spans.index.isin(ended), "max"] = np.inf
    keep = np.ones(len(rows), dtype=bool)
    for later in np.unique(attempt)[1:]:
        first, last = (np.full(len(rows["trial"].cat.categories), np.nan) for _ in range(2))
        span = spans.xs(later, level="attempt")
        where = rows["trial"].cat.categories.get_indexer(span.index)
        first[where], last[where] = span["min"], span["max"]
        keep &= ~((attempt < later) & (step >= first[trial]) & (step <= last[trial]))
    return keep


def _notes(raw: pd.DataFrame) -> pd.DataFrame:
    last = raw.sort_values("attempt", kind="stable").drop_duplicates(["trial", "name"], keep="last")
    notes = last.rename(columns={"name": "key"})[["trial", "key"]].astype(object)
    return notes.assign(value=[json.loads(text) for text in last["text"]]).reset_index(drop=True)

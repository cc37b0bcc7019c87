"""A run folder as tidy frames, while it runs or afterwards.

The rule of the last attempt. An interrupted trial goes on from its last checkpoint, so several attempts may have
written the same steps. A row of an attempt is dropped exactly if a later attempt *covers* its step: that is, if the
step lies between the first and the last step that the later attempt wrote, or anywhere after the first one if the
later attempt came to an end of its own (done, pruned, diverged, failed), because then the trial ended there. What a
later attempt has not reached yet stays, and what lies before its first step always stays. Hence no gap, no double.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.lock import read_lock
from analysis.records import CODE, ENDINGS, ENVIRONMENT, FINAL, LOCK_FILE, LedgerError, Record, read_decisions
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
        attempts: trial, attempt, started and ended (seconds since 1970; NaN while it runs), seconds, outcome, error,
            cause (why it failed or was lost, if that is known).
        points: cell, number, point, params (dict), state, values.
        judged: cell, number, step, value, prune; what the scheduler was shown of a point, and said.
        winners: cell, point, params; several rows per cell for a Pareto front.
        looks: cell, seeds, most; the confirm seeds that a cell was given round by round, of at most so many.
        reports: trial, step, metric, value; see the rule above. Sorted by trial, step and metric.
        notes: trial, key, value; the last note of each key.
        events: event, seconds, time, simulated (True or missing); the lives of the driver.
        torn: lines that were cut off by a kill.
        code: digest of the source files that it runs; empty if they were not kept.
        path: where it was read; of several folders, the first.
    """

    path: Path
    lock: Mapping[str, Any]
    environment: Mapping[str, Any]
    cells: pd.DataFrame
    trials: pd.DataFrame
    attempts: pd.DataFrame
    points: pd.DataFrame
    judged: pd.DataFrame
    winners: pd.DataFrame
    looks: pd.DataFrame
    reports: pd.DataFrame
    notes: pd.DataFrame
    events: pd.DataFrame
    torn: int
    code: str

    @property
    def simulated(self) -> bool:
        """Whether its reports are made up, so that it says nothing about its question."""
        return "simulated" in self.events and bool((self.events["simulated"] == True).any())  # noqa: E712


def load(run: Path) -> Run:
    """Read everything; raises LedgerError if this is no run folder or the ledger is damaged."""
    lock = read_lock(run)
    decisions = read_decisions(run)
    if not lock and not decisions.end:
        raise LedgerError(f"{run}: not a run folder: it has neither a ledger nor a {LOCK_FILE}")
    cells = _cells(decisions.records)
    records = _of_cells(decisions.records, cells)
    params = _params(records)
    table, torn = read_reports(run)
    raw = table.unify_dictionaries().to_pandas()
    return Run(
        path=run,
        lock=lock,
        environment=_environment(run),
        cells=cells,
        trials=_trials(records, cells, params),
        attempts=_attempts(records),
        points=_points(records),
        judged=_judged(records),
        winners=_winners(records, params),
        looks=_looks(records),
        reports=_reports(raw[raw["kind"] == "report"], _ends(records)),
        notes=_notes(raw[raw["kind"] == "note"]),
        events=_frame(_of(records, "run"), ["event", "seconds", "time", "simulated"]),
        torn=decisions.torn + sum(torn.values()),
        code=_code(run),
    )


def _environment(run: Path) -> dict[str, Any]:
    path = run / ENVIRONMENT
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise LedgerError(f"{path}: damaged: {error}") from None


def _code(run: Path) -> str:
    total = hashlib.sha256()
    files = sorted((run / CODE).glob("*"))
    for path in files:
        total.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()[:12] if files else ""


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


def _of_cells(records: list[Record], cells: pd.DataFrame) -> list[Record]:
    """Without what an edited sweep has left behind in cells that it no longer has."""
    kept = {*cells.index, None}  # many decisions are about no cell
    return [r for r in records if r.get("cell") in kept] if len(cells) else records


def label(level: Any) -> str:
    """A level as text, the way that YAML writes it."""
    return str(level).lower() if isinstance(level, bool) else str(level)


def _points(records: list[Record]) -> pd.DataFrame:
    asked = _frame(_of(records, "asked"), ["cell", "number", "point", "params"])
    told = _frame(_of(records, "told"), ["cell", "number", "state", "values"])
    told["values"] = [[float(v) for v in values] for values in told["values"]]  # float() also reads "NaN"
    key = ["cell", "number"]
    return asked.drop_duplicates(key, keep="last").merge(told.drop_duplicates(key, keep="last"), on=key, how="left")


def _judged(records: list[Record]) -> pd.DataFrame:
    return _frame(_of(records, "judged"), ["cell", "number", "step", "value", "prune"]).astype({"value": float})


def _looks(records: list[Record]) -> pd.DataFrame:
    """Those since the cell was declared last: an edited sweep that searches it afresh starts afresh here as well."""
    declared = {r["cell"]: n for n, r in enumerate(records) if r["kind"] == "cell"}
    rows = [r for n, r in enumerate(records) if r["kind"] == "confirm" and n > declared.get(r["cell"], -1)]
    return _frame(rows, ["cell", "seeds", "most"])


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
        outcome=_or(("running" if kind == "started" else kind for kind in last["kind"]), "planned"),
        attempts=last["attempt"].to_numpy(dtype=float, na_value=0).astype(int),
        seconds=spent["seconds"].to_numpy(dtype=float, na_value=0),
        error=_or(last["error"], ""),
    )
    return beside(_with_params(trials, params), cells, "factor", on="cell")


def _attempts(records: list[Record]) -> pd.DataFrame:
    key = ["trial", "attempt"]
    started = _frame(_of(records, "started"), [*key, "time"]).rename(columns={"time": "started"})
    ended = _frame(_of(records, *ENDINGS), [*key, "time", "seconds", "kind", "error", "cause"])
    ended = ended.rename(columns={"time": "ended"}).drop_duplicates(key, keep="last")
    lives = started.drop_duplicates(key, keep="first").merge(ended, on=key, how="left")
    return lives.assign(
        outcome=_or(lives.pop("kind"), "running"), error=_or(lives.pop("error"), ""), cause=_or(lives.pop("cause"), "")
    )


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
    keys = [kept["trial"].cat.codes.to_numpy(), kept["step"].to_numpy(), kept["metric"].cat.codes.to_numpy()]
    order = np.lexsort(keys[::-1])
    doubles = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
    return kept.iloc[order[np.append(~doubles, True)[: len(order)]]].reset_index(drop=True)


def last_attempts(rows: pd.DataFrame, ends: pd.DataFrame) -> np.ndarray:
    """Which rows stay, by the rule at the top of this file.

    Args:
        rows: trial (categorical), attempt, step.
        ends: trial and attempt of those that came to an end of their own.
    """
    trial, attempt, step = rows["trial"].cat.codes.to_numpy(), rows["attempt"].to_numpy(), rows["step"].to_numpy()
    if len(np.unique(attempt)) < 2:
        return np.ones(len(rows), dtype=bool)
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

"""A run folder as tidy frames, while it runs or afterwards; and the compaction of its reports to Parquet.

The rule of the last attempt. An interrupted trial goes on from its last checkpoint, so several attempts may have
written the same steps. A row of an attempt is dropped exactly if a later attempt *covers* its step: that is, if the
step lies between the first and the last step that the later attempt wrote, or anywhere after the first one if the
later attempt came to an end of its own (done, pruned, diverged, failed), because then the trial ended there. What a
later attempt has not reached yet stays, and what lies before its first step always stays. Hence no gap, no double.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from analysis.records import (
    COMPACTED,
    ENDINGS,
    ENVIRONMENT,
    FINAL,
    LOCK_FILE,
    SEGMENTS,
    VERSION,
    LedgerError,
    Record,
    read_decisions,
    read_lines,
)

_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("kind", _TEXT),  # report or note
        ("trial", _TEXT),
        ("attempt", pa.int32()),
        ("step", pa.int64()),  # -1 for notes
        ("time", pa.float64()),
        ("name", _TEXT),  # of the metric or the note
        ("number", pa.float64()),  # value of the metric
        ("text", pa.string()),  # value of the note, as JSON
    ]
)
_VERSION_KEY, _TORN_KEY = b"assay.version", b"assay.torn"


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
    cells, points = _cells(records), _points(records)
    table, torn = _read_reports(run)
    raw = table.unify_dictionaries().to_pandas()
    return Run(
        path=run,
        lock=lock,
        environment=_environment(run),
        cells=cells,
        trials=_trials(records, cells, points),
        points=points,
        winners=_winners(records, points),
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
    levels = {r["cell"]: {k: label(v) for k, v in r["levels"].items()} for r in _of(records, "cell")}
    frame = pd.DataFrame.from_dict(levels, orient="index", dtype=object)
    return frame.reindex(list(levels)).rename_axis(index="cell")


def label(level: Any) -> str:
    """A level as text, the way that YAML writes it."""
    return str(level).lower() if isinstance(level, bool) else str(level)


def _points(records: list[Record]) -> pd.DataFrame:
    asked = _frame(_of(records, "asked"), ["cell", "number", "point", "params"])
    told = _frame(_of(records, "told"), ["cell", "number", "state", "values"])
    key = ["cell", "number"]
    return asked.drop_duplicates(key, keep="last").merge(told.drop_duplicates(key, keep="last"), on=key, how="left")


def _winners(records: list[Record], points: pd.DataFrame) -> pd.DataFrame:
    last = {r["cell"]: r["points"] for r in _of(records, "winner")}
    pairs = [(cell, point) for cell, chosen in last.items() for point in chosen]
    return _with_params(pd.DataFrame(pairs, columns=["cell", "point"], dtype=object), points)


def _with_params(frame: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    known = dict(zip(zip(points["cell"], points["point"], strict=True), points["params"], strict=True))
    return frame.assign(params=[known.get(key, {}) for key in zip(frame["cell"], frame["point"], strict=True)])


def _trials(records: list[Record], cells: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
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
    return beside(_with_params(trials, points), cells, "factor", on="cell")


def _or(texts: Iterable[Any], missing: str) -> list[str]:
    return [text if isinstance(text, str) else missing for text in texts]


def beside(frame: pd.DataFrame, more: pd.DataFrame, kind: str, on: str | None = None) -> pd.DataFrame:
    """Add the columns of ``more``; one that is called as a column that is there gets its kind behind its name."""
    return frame.join(more.rename(columns={c: f"{c} ({kind})" for c in more if c in frame}), on=on)


def _ends(records: list[Record]) -> pd.DataFrame:
    """The attempts that came to an end of their own."""
    return _frame(_of(records, *FINAL), ["trial", "attempt"])


def _read_reports(run: Path) -> tuple[pa.Table, dict[str, int]]:
    """All reports and notes as written, and the torn lines by file. Duplicates are possible."""
    segments = {path.name: read_lines(path) for path in sorted(run.glob(SEGMENTS))}
    compacted, torn = _read_compacted(run / COMPACTED)  # after the segments: rows may be moving there just now
    fresh = _table([record for lines in segments.values() for record in lines.records])
    return pa.concat_tables([compacted, fresh]), torn | {name: lines.torn for name, lines in segments.items()}


def _read_compacted(path: Path) -> tuple[pa.Table, dict[str, int]]:
    if not path.exists():
        return SCHEMA.empty_table(), {}
    try:
        table = pq.read_table(path)
        facts = table.schema.metadata or {}
        if int(facts[_VERSION_KEY]) > VERSION:
            version = facts[_VERSION_KEY].decode()
            raise LedgerError(f"{path}: written by a newer version (schema {version}, this reads {VERSION})")
        return table.replace_schema_metadata(None).cast(SCHEMA), json.loads(facts[_TORN_KEY])
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise LedgerError(f"{path}: damaged: {error}") from None


def _table(records: list[Record]) -> pa.Table:
    """Reports and notes as one row per number or note."""
    reports, notes = _of(records, "report"), _of(records, "note")
    metrics = [r["metrics"] for r in reports]
    rows = reports + notes
    repeats = np.array([*map(len, metrics), *[1] * len(notes)], dtype=np.int64)
    numbers = [float(v) for m in metrics for v in m.values()]  # float() also reads "NaN" and "Infinity"
    columns = [
        _encoded([r["kind"] for r in rows], repeats),
        _encoded([r["trial"] for r in rows], repeats),
        np.repeat(np.array([r["attempt"] for r in rows], dtype=np.int32), repeats),
        np.repeat(np.array([r.get("step", -1) for r in rows], dtype=np.int64), repeats),
        np.repeat(np.array([r.get("time", np.nan) for r in rows], dtype=np.float64), repeats),
        _encoded([*chain.from_iterable(metrics), *(r["key"] for r in notes)], 1),
        np.array(numbers + [np.nan] * len(notes), dtype=np.float64),
        pa.array([None] * len(numbers) + [json.dumps(r["value"]) for r in notes], pa.string()),
    ]
    return pa.table(columns, schema=SCHEMA)


def _encoded(texts: Sequence[str], repeats: np.ndarray | int) -> pa.DictionaryArray:
    codes, names = pd.factorize(np.array(texts, dtype=object))
    return pa.DictionaryArray.from_arrays(np.repeat(codes, repeats).astype(np.int32), pa.array(names, pa.string()))


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


def compact(run: Path) -> None:
    """Move all report segments into one Parquet file. To be called when no process writes reports any more.

    Safe to kill at any moment and to call again: until the new file is in place nothing is removed, and rows that
    are in both places count once.
    """
    sizes = {path: path.stat().st_size for path in run.glob(SEGMENTS)}
    if not sizes:
        return
    table, torn = _read_reports(run)
    facts = {_VERSION_KEY: str(VERSION).encode(), _TORN_KEY: json.dumps(torn).encode()}
    target = run / COMPACTED
    temporary = target.with_suffix(".tmp")
    with temporary.open("wb") as file:
        pq.write_table(table.unify_dictionaries().replace_schema_metadata(facts), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    for path, size in sizes.items():
        if path.stat().st_size == size:  # else somebody still writes to it: it stays
            path.unlink()

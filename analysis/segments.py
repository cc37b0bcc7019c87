"""Where the reports lie: JSON lines while they are written, one Parquet file once nobody writes any more.

In the Parquet file, as in memory, every number of a report has a row of its own, and so has every note.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.plain_reports import SCHEMA, parted, read_plain
from analysis.records import COMPACTED, SEGMENTS, VERSION, LedgerError, Record, decode, whole_lines

_IMPROPER = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
)  # of a record that lacks what it should have
_VERSION_KEY, _TORN_KEY = b"assay.version", b"assay.torn"


def read_reports(run: Path) -> tuple[pa.Table, dict[str, int]]:
    """All reports and notes as written, and the torn lines by file. Duplicates are possible."""
    segments = {path.name: _read_segment(path) for path in sorted(run.glob(SEGMENTS))}
    compacted, torn = _read_compacted(run / COMPACTED)  # after the segments: rows may be moving there just now
    fresh = [table for tables, _ in segments.values() for table in tables]
    return pa.concat_tables([compacted, *fresh]), torn | {name: count for name, (_, count) in segments.items()}


def _read_segment(path: Path) -> tuple[list[pa.Table], int]:
    """The reports of one file, and the number of its torn lines."""
    data, torn = whole_lines(path)
    return _quickly(data, path) or [_one_by_one(data, path)], torn


def _quickly(data: bytes, path: Path) -> list[pa.Table] | None:
    """None if there is any doubt."""
    plain, odd = parted(data)
    table = read_plain(plain)
    try:
        return None if table is None else [table, _table([decode(line, path, 0) for line in odd])]
    except (LedgerError, *_IMPROPER):
        return None


def _one_by_one(data: bytes, path: Path) -> pa.Table:
    records = [decode(line, path, n) for n, line in enumerate(data.splitlines(), start=1)]
    try:
        return _table(records)
    except _IMPROPER as error:
        raise LedgerError(f"{path}: damaged record: not a proper report or note: {error!r}") from None


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
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise LedgerError(f"{path}: damaged: {error}") from None


def _table(records: list[Record]) -> pa.Table:
    """Reports and notes as one row per number or note."""
    reports = [r for r in records if r["kind"] == "report"]
    notes = [r for r in records if r["kind"] == "note"]
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
    import pandas as pd  # a look at one trial of a finished run does without

    codes, names = pd.factorize(np.array(texts, dtype=object))
    return pa.DictionaryArray.from_arrays(np.repeat(codes, repeats).astype(np.int32), pa.array(names, pa.string()))


def compact(run: Path) -> None:
    """Move all report segments into one Parquet file. To be called when no process writes reports any more.

    Safe to kill at any moment and to call again: until the new file is in place nothing is removed, and rows that
    are in both places count once.
    """
    sizes = {path: path.stat().st_size for path in run.glob(SEGMENTS)}
    if not sizes:
        return
    table, torn = read_reports(run)
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


def compacted_records(run: Path, trial: str = "") -> Iterator[Record]:
    """The reports that were moved to Parquet, or those of one trial, as the records that they once were."""
    table, _ = _read_compacted(run / COMPACTED)
    if trial:
        table = table.filter(pc.field("trial") == trial)
    columns = [table[name].to_pylist() for name in ("kind", "trial", "attempt", "step", "time", "name", "number")]
    reports: dict[tuple[str, int, int, float], dict[str, float]] = {}  # the rows of a report may lie apart
    for kind, of, attempt, step, time, name, number in zip(*columns, strict=True):
        if kind == "report":
            reports.setdefault((of, attempt, step, time), {})[name] = number
    for (of, attempt, step, time), metrics in reports.items():
        yield {
            "v": VERSION,
            "kind": "report",
            "time": time,
            "trial": of,
            "attempt": attempt,
            "step": step,
            "metrics": metrics,
        }

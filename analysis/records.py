"""The record schema of a run folder, and the reader of its lines. Standard library only, so that it is quick.

A run folder holds two kinds of append-only files under ``ledger/``, one JSON record per line:

* ``decisions.jsonl``, written by the driver;
* ``reports-*.jsonl``, one per process that runs trials.

Every record has ``v`` (schema version), ``kind`` and ``time`` (seconds since 1970). Decisions, in the order in which
they were made, which is all that is needed to bring sampler and scheduler back:

| kind | fields |
|---|---|
| run | event (started, resumed, interrupted, finished), seconds (of this life, at its end), simulated (see below) |
| cell | cell (id), levels {factor: label} |
| asked | cell, number (of the point in its study), point (id), params {nuisance: value} |
| planned | trial, cell, phase (tune, confirm), point, seed, config |
| started | trial, attempt |
| judged | cell, number, step, value, prune (what the scheduler was shown, and said) |
| done, pruned, diverged, failed, cancelled, lost | trial, attempt, seconds, error, cause and suspects (below) |
| told | cell, number, state (COMPLETE, PRUNED, FAIL), values |
| winner | cell, points [ids]: what is confirmed |
| confirm | cell, seeds (so many confirm seeds in all from now on), most (the limit of a sequential confirmation) |

``cause`` says why a trial failed or an attempt was lost: error, out of memory, storage, timeout, process died,
preempted or node lost. ``suspects``, above 1, is the number of trials in a process that was lost, any of which may be
to blame. Neither is there where it says nothing.

Where a run has ``simulated: true`` nothing was trained: reports are made up or played again, and times are virtual.

Reports:

| kind | fields |
|---|---|
| report | trial, attempt, step, metrics {name: number} |
| note | trial, attempt, key, value |

Numbers that JSON cannot hold are the texts ``NaN``, ``Infinity`` and ``-Infinity``.

A record of an older schema is upgraded, version by version, when it is read. Version 0, which came before the first
release, had no ``v``, no ``judged``, one ``value`` in told instead of ``values``, one ``point`` in winner instead of
``points``, and only one attempt per trial, which had no number, no ``seconds`` and no ``error``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.fields import fault

VERSION = 1
DECISIONS = "ledger/decisions.jsonl"
SEGMENTS = "ledger/reports-*.jsonl"
COMPACTED = "ledger/reports.parquet"
LOCK_FILE = "sweep.lock.yaml"
ENVIRONMENT = "environment.json"
CODE = "code"
CONFIRM_SEED = 1000  # confirm seeds count from here, tune seeds from 0
CONFIRM_SEEDS = 5  # so many, if the sweep does not say
ENDINGS = ("done", "pruned", "diverged", "failed", "cancelled", "lost")
FINAL = ("done", "pruned", "diverged", "failed")  # never run again

Record = dict[str, Any]


class LedgerError(Exception):
    """A ledger that cannot be read; the message names file and line."""


_encoded = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode


def encode(record: Mapping[str, Any]) -> str:
    """One line of JSON, with its newline."""
    try:
        return _encoded(record) + "\n"
    except (ValueError, TypeError):  # most records hold nothing that JSON has no word for
        return _encoded(_plain(record)) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


@dataclass
class Lines:
    """The records of one file. ``torn`` is 1 if its last line was cut off; ``end`` is where whole lines end."""

    records: list[Record] = field(default_factory=list)
    torn: int = 0
    end: int = 0


def read_lines(path: Path) -> Lines:
    """Read one ledger file. A torn last line is dropped and counted; any other damage raises LedgerError."""
    data, torn = whole_lines(path)
    return Lines(_decoded(data.splitlines(), path), torn, len(data))


def read_some(path: Path, text: str) -> list[Record]:
    """Read only the lines that hold ``text`` as it is encoded; damage elsewhere goes unnoticed."""
    lines = enumerate(whole_lines(path)[0].splitlines(), start=1)
    return [decode(line, path, n) for n, line in lines if text.encode() in line]


def whole_lines(path: Path) -> tuple[bytes, int]:
    """What a file holds without its last line if that was cut off, and 1 if it was."""
    data = path.read_bytes() if path.exists() else b""
    end = data.rfind(b"\n") + 1
    return data[:end], int(end < len(data))


def _decoded(lines: list[bytes], path: Path) -> list[Record]:
    """All at once, which is several times quicker; line by line if anything is wrong or of an older schema."""
    records: list[Record] = []
    try:
        records = json.loads(b"[" + b",\n".join(lines) + b"]")
        whole = len(records) == len(lines) and all(r["v"] == VERSION and not fault(r) for r in records)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole = False
    return records if whole else [decode(line, path, n) for n, line in enumerate(lines, start=1)]


def decode(line: bytes, path: Path, number: int) -> Record:
    """One record, of the present schema. Raises LedgerError, which names the file and the number of the line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{path}:{number}: damaged record: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise LedgerError(f"{path}:{number}: damaged record: not a mapping with a kind")
    version = record.get("v", 0)
    if type(version) is not int or version < 0:
        raise LedgerError(f"{path}:{number}: damaged record: {version!r} is no schema version")
    if version > VERSION:
        raise LedgerError(f"{path}:{number}: written by a newer version (schema {version}, this reads {VERSION})")
    for upgrade in _UPGRADES[version:]:
        record = upgrade(record)
    if wrong := fault(record):
        raise LedgerError(f"{path}:{number}: damaged record: {wrong}")
    return record


def _from_0(record: Record) -> Record:
    """To version 1: what was single became a list, and trials got attempts."""
    kind = record["kind"]
    for owner, one, many in (("told", "value", "values"), ("winner", "point", "points")):
        if kind == owner and one in record:
            record = {k: v for k, v in record.items() if k != one} | {many: [record[one]]}
    attempted = {"attempt": 1} if kind in ("started", "report", "note", *ENDINGS) else {}
    ended = {"seconds": 0.0, "error": ""} if kind in ENDINGS else {}
    return {"time": 0.0, **attempted, **ended, **record, "v": 1}


_UPGRADES = (_from_0,)  # from each older version to the next one


def read_decisions(run: Path) -> Lines:
    return read_lines(run / DECISIONS)


def read_segments(run: Path) -> Iterator[Lines]:
    """The reports, one ``Lines`` for each process that wrote some. Compacted ones are not among them."""
    for path in sorted(run.glob(SEGMENTS)):
        yield read_lines(path)

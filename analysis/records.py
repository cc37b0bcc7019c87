"""The record schema of a run folder, and the reader of its lines. Standard library only, so that it is quick.

A run folder holds two kinds of append-only files under ``ledger/``, one JSON record per line:

* ``decisions.jsonl``, written by the driver;
* ``reports-*.jsonl``, one per process that runs trials.

Every record has ``v`` (schema version), ``kind`` and ``time`` (seconds since 1970). Decisions, in the order in which
they were made, which is all that is needed to bring sampler and scheduler back:

| kind | fields |
|---|---|
| run | event (started, resumed, interrupted, finished), seconds (of this life of the driver, at its end) |
| cell | cell (id), levels {factor: label} |
| asked | cell, number (of the point in its study), point (id), params {nuisance: value} |
| planned | trial, cell, phase (tune, confirm), point, seed, config |
| started | trial, attempt |
| judged | cell, number, step, value, prune (what the scheduler was shown, and said) |
| done, pruned, diverged, failed, cancelled, lost | trial, attempt, seconds, error |
| told | cell, number, state (COMPLETE, PRUNED, FAIL), values |
| winner | cell, points [ids]: what is confirmed |

Reports:

| kind | fields |
|---|---|
| report | trial, attempt, step, metrics {name: number} |
| note | trial, attempt, key, value |

Numbers that JSON cannot hold are the texts ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
DECISIONS = "ledger/decisions.jsonl"
SEGMENTS = "ledger/reports-*.jsonl"
COMPACTED = "ledger/reports.parquet"
LOCK_FILE = "sweep.lock.yaml"
ENVIRONMENT = "environment.json"
ENDINGS = ("done", "pruned", "diverged", "failed", "cancelled", "lost")
FINAL = ("done", "pruned", "diverged", "failed")  # never run again

Record = dict[str, Any]


class LedgerError(Exception):
    """A ledger that cannot be read; the message names file and line."""


def encode(record: Mapping[str, Any]) -> str:
    """One line of JSON, with its newline."""
    return json.dumps(_plain(record), allow_nan=False, separators=(",", ":"), ensure_ascii=False) + "\n"


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
    data = path.read_bytes() if path.exists() else b""
    end = data.rfind(b"\n") + 1
    records = [_decode(line, path, n) for n, line in enumerate(data[:end].splitlines(), start=1)]
    return Lines(records, int(end < len(data)), end)


def _decode(line: bytes, path: Path, number: int) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise LedgerError(f"{path}:{number}: damaged record: {error}") from None
    if not isinstance(record, dict) or "kind" not in record:
        raise LedgerError(f"{path}:{number}: damaged record: not a mapping with a kind")
    if record.get("v", 0) > VERSION:
        raise LedgerError(f"{path}:{number}: written by a newer version (schema {record['v']}, this reads {VERSION})")
    return record


def read_decisions(run: Path) -> Lines:
    return read_lines(run / DECISIONS)


def read_segments(run: Path) -> Iterator[Lines]:
    """The reports, one ``Lines`` for each process that wrote some. Compacted ones are not among them."""
    for path in sorted(run.glob(SEGMENTS)):
        yield read_lines(path)

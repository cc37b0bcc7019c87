"""Writes the run folder and opens it again. The schema is that of ``analysis.records``."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from analysis import records
from analysis.records import ENDINGS, Record
from cluster.work import Report
from sweeps.lease import Folder, Lease, RunError, Say
from trainables.api import Metrics, Order, Outcome

OF_A_STUDY = ("asked", "judged", "told", "winner", "confirm")  # kinds that mean nothing to a study of another signature

__all__ = ["Ledger", "LedgerSink", "RunError", "identity"]


def identity(record: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What makes a decision the same decision, so that it is written once; None if it never repeats."""
    kind = record["kind"]
    if kind == "planned":
        return kind, record["trial"]
    if kind == "started" or kind in ENDINGS:
        return kind, record["trial"], record["attempt"]
    if kind in ("asked", "judged", "told"):
        return kind, record["cell"], record["number"], record.get("step"), record.get("state")
    if kind == "confirm":
        return kind, record["cell"], record["seeds"]
    return (kind, record["cell"], *record["points"]) if kind == "winner" else None


class Ledger:
    """The decisions of one run: an append-only file with a single writer."""

    def __init__(
        self,
        run: Path,
        now: Callable[[], float] = time.time,
        *,
        takeover: bool = False,
        say: Say = lambda _: None,
    ) -> None:
        """``now``: seconds since 1970, of the records. ``takeover``: from a silent driver on another machine."""
        self.run, self._now = run, now
        self.lease = Lease(Folder(run / "ledger"), str(run), takeover=takeover, say=say)
        self.writing = threading.Lock()  # nothing is decided, and so no attempt begins, while another thread has it
        self._seen: dict[str, set[int]] = {}  # cell of a study, or nothing -> hashes of what is written, to be small
        self._searches: dict[str, str] = {}  # cell -> signature of its last study
        self._file: TextIO | None = None
        self.records: list[Record] = []  # what earlier lives of the run have decided

    @contextlib.contextmanager
    def open(self) -> Iterator[Ledger]:
        """Take the run for this process, read what is there, and append. Raises RunError if another process has it."""
        (self.run / "ledger").mkdir(parents=True, exist_ok=True)
        with self.lease.held():
            path = self.run / records.DECISIONS
            if self.lease.followed_a_stranger and path.exists():
                _leave_to_strangers(path)
            lines = records.read_decisions(self.run)
            self.records = lines.records
            self._seen = {}
            for record in lines.records:
                self._is_new(record)
            self._searches = {r["cell"]: r.get("search", "") for r in lines.records if r["kind"] == "cell"}
            if lines.torn:
                os.truncate(path, lines.end)
            with path.open("a", encoding="utf-8") as self._file:
                yield self

    def record(self, kind: str, **fields: Any) -> None:
        """Append a decision, unless the run holds it already."""
        record = {"v": records.VERSION, "kind": kind, "time": round(self._now(), 3), **fields}
        if not self._is_new(record):
            return
        assert self._file is not None, "the ledger is not open"
        self.lease.check()
        with self.writing:
            self._file.write(records.encode(record))
            self._file.flush()

    def _is_new(self, record: Record) -> bool:
        """Whether it was not written yet; it counts as written from now on."""
        key = identity(record)
        if key is None:
            return True
        seen = self._seen.setdefault(record["cell"] if record["kind"] in OF_A_STUDY else "", set())
        size = len(seen)
        seen.add(hash(key))
        return len(seen) > size

    def record_cell(self, cell: str, levels: Mapping[str, str], search: str) -> None:
        """Declare a cell and the signature of its study. A study with another one starts afresh."""
        if self._searches.get(cell) == search:
            return
        self._seen.pop(cell, None)
        self.record("cell", cell=cell, levels=dict(levels), search=search)

    def history(self, trial: str = "") -> dict[str, list[Report]]:
        """The reports of every trial, or of one, by step; of a step that several attempts reported, the last."""
        found: dict[str, dict[int, tuple[int, Report]]] = defaultdict(dict)
        for record in self._reports(trial):
            steps, attempt, step = found[record["trial"]], record["attempt"], record["step"]
            if step not in steps or attempt >= steps[step][0]:
                metrics = {name: float(value) for name, value in record["metrics"].items()}
                steps[step] = (attempt, Report(step, metrics))
        return {trial: [steps[step][1] for step in sorted(steps)] for trial, steps in found.items()}

    def _reports(self, trial: str) -> Iterator[Record]:
        if (self.run / records.COMPACTED).exists():
            from analysis.segments import compacted_records

            yield from compacted_records(self.run, trial)
        for path in sorted(self.run.glob(records.SEGMENTS)):
            found = records.read_some(path, f'"trial":"{trial}"') if trial else records.read_lines(path).records
            yield from (record for record in found if record["kind"] == "report")


def _leave_to_strangers(path: Path) -> None:
    """Go on in a copy. Whoever still has the file open, and comes back at any moment, writes into nothing."""
    copy = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    shutil.copyfile(path, copy)
    copy.replace(path)


@cache
def _segment(run: Path, process: int) -> Path:
    """The file of this process alone. It is opened anew for each record, so that nothing is left open or unflushed."""
    (run / "ledger").mkdir(parents=True, exist_ok=True)
    return run / "ledger" / f"reports-{socket.gethostname()[:40]}-{process}-{uuid.uuid4().hex[:8]}.jsonl"


class LedgerSink:
    """The ledger's end of one attempt."""

    def __init__(self, run: Path, order: Order, now: Callable[[], float] = time.time) -> None:
        self._path, self._order, self._now = _segment(run, os.getpid()), order, now

    def report(self, step: int, metrics: Metrics) -> None:
        self._write("report", step=step, metrics=dict(metrics))

    def note(self, key: str, value: Any) -> None:
        self._write("note", key=key, value=value)

    def image(self, tag: str, step: int, png: bytes) -> None:
        """Images are not part of the ledger."""

    def sync(self) -> None:
        if self._path.exists():
            with self._path.open("rb") as file:
                os.fsync(file.fileno())

    def close(self, outcome: Outcome) -> None:  # noqa: ARG002 - the driver records it
        """The driver decides how the attempt ended, and records it: not before its reports are on the disk."""
        self.sync()

    def _write(self, kind: str, **fields: Any) -> None:
        trial = {"trial": self._order.trial, "attempt": self._order.attempt}
        record = {"v": records.VERSION, "kind": kind, "time": round(self._now(), 3), **trial, **fields}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(records.encode(record))

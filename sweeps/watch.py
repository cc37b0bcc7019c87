"""Keeps the report of a run up to date while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from analysis import records
from analysis.records import LOCK_FILE
from sweeps import folder
from sweeps.folder import Status

Say = Callable[[str], None]


def watch(
    run: Path,
    write: Callable[[Path], Path],
    say: Say,
    *,
    every: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the report now, and again whenever there is more in the ledger, until the run is finished.

    Args:
        write: writes the report and returns its page.
        say: is given one line per refresh.
        every: seconds between two looks. It waits at least as long as the last report took, so that it never takes
            more than half of a core from the trials.
        sleep: for tests.
    """
    seen: object = None
    while True:
        status = folder.status(run)  # before the report, which then holds the end if this says finished
        now = fingerprint(run)
        began = time.monotonic()
        if now != seen:
            say(_line(status, write(run)))
        seen = now
        if status.state == "finished":
            return
        sleep(max(every, time.monotonic() - began))


def fingerprint(run: Path) -> dict[str, int]:
    """Changes when the ledger or the sweep has changed."""
    files = [
        path
        for pattern in (records.DECISIONS, records.SEGMENTS, records.COMPACTED, LOCK_FILE)
        for path in run.glob(pattern)
    ]
    found: dict[str, int] = {}
    for path in files:
        try:
            found[path.name] = path.stat().st_size
        except FileNotFoundError:  # a segment that has just been moved to the Parquet file
            continue
    return found


def _line(status: Status, page: Path) -> str:
    totals = status.totals
    final = sum(totals[state] for state in records.FINAL)
    counted = f"{final} of {totals.total()} trials" + (f", {totals['running']} running" if totals["running"] else "")
    return f"{datetime.now().astimezone():%H:%M:%S}  {status.state}  {counted}  {page}"

"""The state of source files, told from what the file system says of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

_TICK_S = 2.0  # that the time stamps of a file system may be apart: two on FAT, thousandths on most


def state_of(files: Iterable[Path]) -> str:
    """Another text whenever a file was added, removed, renamed or written to.

    The time of the last change cannot be set back, unlike that of the last modification. Two changes in one tick of the
    file system's clock have the same time, so that files that were changed a moment ago are looked at after that tick.
    """
    files = list(files)
    state, newest_s = _look(files)
    if (wait_s := newest_s + _TICK_S - time.time()) > 0:
        time.sleep(min(wait_s, _TICK_S))  # a clock elsewhere may be ahead of ours
        state, _ = _look(files)
    return state


def _look(files: Iterable[Path]) -> tuple[str, float]:
    state, newest_s = hashlib.sha256(), 0.0
    for file in files:
        at = file.stat()
        state.update(f"{file} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}\n".encode())
        newest_s = max(newest_s, at.st_ctime)
    return state.hexdigest(), newest_s

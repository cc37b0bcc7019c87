"""Notices that the head of a cluster is gone. Ray itself waits for a minute, and then ends the process with a log."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

_KNOCK_S = 5.0
_PATIENCE_S = 30.0  # half of Ray's own; a head that keeps its state elsewhere may come back


@contextlib.contextmanager
def watched(address: str, leave: Callable[[str], None] | None = None) -> Iterator[None]:
    """Leave when nobody has answered at ``address`` for a while.

    The thread that drives may be waiting for the head inside of Ray, so by default the process ends as it is, which the
    ledger and the checkpoints are made for.
    """
    over = threading.Event()
    threading.Thread(target=_watch, args=(address, over, leave or _leave), name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, over: threading.Event, leave: Callable[[str], None]) -> None:
    answered = time.monotonic()
    while not over.wait(_KNOCK_S):
        if _answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered > _PATIENCE_S:
            leave(f"the Ray head at {address} is gone; what the run has is kept, and `assay resume` goes on elsewhere")
            return


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except OSError:
        return False
    return True


def _leave(why: str) -> None:
    sys.stdout.flush()
    shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, which a display of progress hides
    print(f"{shown}{why}", file=sys.stderr, flush=True)  # noqa: T201 - the last words of a command
    os._exit(1)

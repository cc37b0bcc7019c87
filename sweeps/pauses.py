"""Keeps Python's garbage collector from stopping the driver of a large run.

What a search holds, it holds until its end. A full collection looks at all of it, to find that none is garbage: at
30,000 trials for half a second, in which no process gets an answer.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def short_pauses() -> Iterator[None]:
    """Inside, the collector looks at an object in one full collection only, the first that it lives to see."""
    gc.freeze()
    gc.callbacks.append(_freeze)
    try:
        yield
    finally:
        gc.callbacks.remove(_freeze)
        gc.unfreeze()


def _freeze(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()

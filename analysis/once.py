"""What takes a while and is asked for by several parts of a report: computed once for each run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from analysis.frames import Run

T = TypeVar("T")


def once(compute: Callable[[Run], T]) -> Callable[[Run], T]:
    """Remember the result as long as somebody holds the run. Whoever gets it leaves it as it is."""
    found: WeakKeyDictionary[Run, T] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(run: Run) -> T:
        if run not in found:
            found[run] = compute(run)
        return found[run]

    return remembered

"""What it means: a run folder in, tables, figures, verdicts and a report out. Never torch, never Ray.

>>> import analysis
>>> run = analysis.load("runs/quickstart")  # or a glob, or s3://bucket/runs/quickstart/*, or several of them
>>> run.trials, run.reports, run.cells, run.points  # tidy frames; `analysis.Run` says what is in each
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.frames import Run
    from analysis.reading import load, load_each
    from analysis.records import LedgerError

__all__ = ["LedgerError", "Run", "load", "load_each"]


def __getattr__(name: str) -> Any:
    """Import pandas only when somebody reads a run: the quick commands import this package too."""
    homes = {"LedgerError": "records", "Run": "frames", "load": "reading", "load_each": "reading"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"analysis.{homes[name]}"), name)

"""What every part of the command line shares: where it prints, and how it says what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or <sweep> or <sweep>/<date-time> under the runs folder.")
]
Runs = Annotated[Path | None, typer.Option("--runs", help="Where run folders are. By default $ASSAY_RUNS, or runs.")]


def say(line: str) -> None:
    """One line as it is, however long and whatever is in it."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def fail(*lines: str) -> NoReturn:
    """Say what the user got wrong, and exit with 2."""
    for line in lines:
        err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(2)

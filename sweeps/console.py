"""What every part of the command line shares: where it prints, how it says what went wrong, common options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)

Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep file, or the name of a shipped sweep.")]
Scale = Annotated[str | None, typer.Option("--scale", help="A named override of the file, such as smoke or paper.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; repeatable.")]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Of the run. If it is there already, go on with it.")
]
Into = Annotated[str | None, typer.Option("--into", metavar="RUN", help="Run what this run lacks, into it.")]
Concurrent = Annotated[int | None, typer.Option("--concurrent", min=1, help="Trials at a time at most.")]
Address = Annotated[
    str | None, typer.Option("--address", help="A Ray cluster to join. By default $RAY_ADDRESS, or none.")
]
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

"""What every part of the command line shares: where it prints, how it says what went wrong, common options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sweeps.storage import folder_of

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class PlainConsole(Console):
    """Shows the characters that would move the cursor, change the terminal or turn the text around as their codes.

    What is printed may come from a stranger's sweep, ledger or trace.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            seen = segment.control or not _UNSEEN.search(segment.text)
            yield segment if seen else Segment(visible(segment.text), segment.style)


def visible(text: str) -> str:
    """The text with what cannot be seen written out."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


out = PlainConsole()
err = PlainConsole(stderr=True)

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
Runs = Annotated[
    Path | None,
    typer.Option(
        "--runs",
        metavar="PLACE",
        parser=folder_of,
        help="Where run folders are: a folder, or a place such as s3://bucket/runs. By default $ASSAY_RUNS, or runs.",
    ),
]


def say(line: str) -> None:
    """One line as it is, however long and whatever is in it."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def fail(*lines: str) -> NoReturn:
    """Say what the user got wrong, and exit with 2."""
    for line in lines:
        err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(2)

"""The commands that read runs: status, runs, report, compare, export, watch, tensorboard."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps import folder, storage
from sweeps.console import Run, Runs, err, fail, out, say

if TYPE_CHECKING:
    from analysis.comparison_page import Page
    from sweeps.tensorboard_cells import Means

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Run folders, or <sweep> or <sweep>/<date-time> under the runs folder, or quoted patterns such as "
        "'runs/bowl/*', or places such as s3://bucket/runs/bowl.",
    ),
]


def status(run: Run, runs: Runs = None) -> None:
    """Show how far a run is, also while it goes on."""
    from sweeps import show

    target = folder.find(run, runs or folder.default_runs())
    out.print(show.status(folder.status(target, maximize=folder.maximizes(target))))


def list_runs(runs: Runs = None) -> None:
    """List the runs, oldest first."""
    from sweeps import show

    root = runs or folder.default_runs()
    storage.look_at_all(root)
    found = [folder.status(one) for one in folder.all_runs(root)]
    out.print(show.runs(found, root) if found else f"no runs in {storage.url_of(root) or root}")


def report(
    run: Run,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless all claims hold.")] = False,
    runs: Runs = None,
) -> None:
    """Write the report of a run: HTML, Markdown and CSV. Works while the run goes on."""
    target = folder.find(run, runs or folder.default_runs())
    write_report(target)
    if check:
        _check_claims(target)


def _check_claims(target: Path) -> None:
    from analysis.frames import load
    from analysis.verdicts import verdicts

    found = verdicts(load(target))
    if open_ := [verdict for verdict in found if verdict.verdict != "holds"]:
        err.print(f"{len(open_)} of {len(found)} claims do not hold", style="red", highlight=False)
        raise SystemExit(1)


def write_report(target: Path) -> None:
    from analysis import report
    from analysis.frames import load
    from sweeps import show
    from sweeps.shipping import ship_report

    with out.status("writing the report"):
        said = report.publish(load(target), target / "report")
        ship_report(target)
    out.print(show.answer(said))
    say(f"report: {target / 'report' / report.PAGE}")
    if not said.simulated:
        say(f"curves: assay tensorboard {target}")


def compare(
    sources: Sources,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Instead of the one of the answer; repeatable.")
    ] = None,
    margin: Annotated[float, typer.Option("--margin", min=0, help="The largest difference that does not matter.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it, too, as FILE.md, FILE.html or FILE.csv.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 1 if a cell has become worse by more than the margin, or is gone."),
    ] = False,
    runs: Runs = None,
) -> None:
    """Hold the same cells of several runs side by side: each run against the first, with differences and verdicts.

    Seeds are compared with the same seeds. A cell is [bold]better[/bold] or [bold]worse[/bold] if the whole interval
    of its difference lies beyond the margin, [bold]same[/bold] if it lies within, and [bold]undecided[/bold]
    otherwise. The intervals are corrected for the number of comparisons. After a change of code, for example:

    assay compare before after --margin 0.005 --check
    """
    from analysis import comparison_page
    from analysis.compare import REGRESSIONS
    from analysis.compare import compare as compare_runs
    from analysis.reading import load_each

    if to is not None and to.suffix not in comparison_page.SUFFIXES:
        fail(f"--to: got {to}, expected a name that ends in {', '.join(comparison_page.SUFFIXES)}")
    found = load_each(_places(sources, runs))
    comparisons = compare_runs(found, metrics or (), margin)
    page = comparison_page.page(found, comparisons, margin)
    _show(page)
    if to is not None:
        comparison_page.write(to, page, comparisons)
        say(f"written: {to}")
    worse = sum(c.verdict in REGRESSIONS for c in comparisons)
    if check and worse:
        say(f"--check: {worse} of {len(comparisons)} comparisons found a cell worse or gone")
        raise SystemExit(1)


def _show(page: Page) -> None:
    from rich.text import Text

    from sweeps import show

    colours = {"better": "green", "worse": "red", "gone": "red", "differs": "red"}
    table = show.table(*map(show.escape, page.header), title=page.title)
    for row in page.table:
        cells = [Text(text) for text in row]
        cells[-2].stylize(colours.get(row[-2], ""))
        table.add_row(*cells)
    facts = show.table(*page.columns)
    for run in page.runs:
        facts.add_row(*map(Text, run))
    out.print(
        table, facts, *(Text(note, style="dim") for note in page.notes), Text(page.answer, style="bold"), sep="\n"
    )


def export(
    sources: Sources,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write to.")],
    only: Annotated[str | None, typer.Option("--format", help="parquet or csv, if one of them is enough.")] = None,
    runs: Runs = None,
) -> None:
    """Write the tables of runs for other programs: trials, reports, points, cells and more, as Parquet and CSV.

    Every table has the name of the run in its first column. `python -c "import analysis.export; help(analysis.export)"`
    says what is in which table.
    """
    from analysis import export as files
    from analysis.reading import load_each

    if only not in (None, *files.FORMATS):
        fail(f"--format: got {only}, expected {' or '.join(files.FORMATS)}")
    found = load_each(_places(sources, runs))
    for path in files.write(found, to, files.FORMATS if only is None else [only]):
        say(str(path))


def watch(
    run: Run,
    every: Annotated[float, typer.Option("--every", min=0.1, metavar="S", help="Seconds between two looks.")] = 30.0,
    runs: Runs = None,
) -> None:
    """Write the report again and again while a run goes on; one line each time.

    Nothing is written while the ledger has not grown. It ends when the run is finished, or with Ctrl-C. Open the page
    in a browser and reload it there.
    """
    from analysis import report
    from sweeps.watch import watch as keep_up

    target = folder.find(run, runs or folder.default_runs())
    try:
        keep_up(target, report.write, say, every=every)
    except KeyboardInterrupt:
        say("no longer watching; the run itself goes on")


def tensorboard(
    run: Run,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="By default 6006, or any if that is taken.")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Only the means of the cells, without the trials.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, metavar="S", help="Seconds between two looks.")] = 30.0,
    runs: Runs = None,
) -> None:
    """Open TensorBoard on this machine with the cells of a run beside its trials.

    The runs _mean/<cell> hold mean, low and high of every metric over the confirm seeds of a cell; the tab Custom
    Scalars shows all cells of a metric in one chart. They are kept up to date while the run goes on. TensorBoard ticks
    no run by itself if there are more than 40, so open the link that is printed, or filter the runs by _mean, or use
    --cells; with more than 40 cells press TOGGLE ALL RUNS. Ctrl-C ends it.
    """
    from sweeps import tensorboard_server as server
    from sweeps.tensorboard_cells import Means

    target = folder.find(run, runs or folder.default_runs())
    if folder.status(target).simulated:
        fail(f"{target}: simulated, so there are no curves to look at")
    storage.bring_boards(target)
    means, free = Means(target / "tensorboard"), server.free_port(port)
    refresh = _whenever_grown(target, means)
    refresh()
    shown = means.folder if cells else target / "tensorboard"
    server.serve(shown, free, lambda address: _say_where(address, cells=cells), refresh, every)


def _say_where(address: str, *, cells: bool) -> None:
    """The links choose the runs, because TensorBoard ticks none by itself if there are more than forty."""
    chosen = "" if cells else "&regexInput=%5E_mean%2F"
    if not cells:
        say(f"trials: {address}")
    say(f"cells:  {address}#custom_scalars{chosen}&_smoothingWeight=0")
    say("Ctrl-C ends it")


def _whenever_grown(target: Path, means: Means) -> Callable[[], None]:
    """Write the means if the ledger is another than the last time."""
    from analysis.frames import load
    from sweeps.watch import fingerprint

    seen: list[dict[str, int]] = []

    def refresh() -> None:
        now = fingerprint(target)
        if seen[-1:] != [now]:
            means.write(load(target))
            seen[:] = [now]

    return refresh


def _places(sources: Sequence[str], runs: Path | None) -> list[str]:
    """Names of runs as their folders; what is a pattern or lies elsewhere stays as it is."""
    root = runs or folder.default_runs()
    return [s if "://" in s or glob.has_magic(s) else str(folder.find(s, root)) for s in sources]

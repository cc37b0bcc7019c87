"""``assay ...``: the command line. Heavy imports wait for the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps import cli_analysis, folder
from sweeps.console import Run, Runs, err, fail, out
from sweeps.errors import SpecError
from sweeps.ledger import RunError

if TYPE_CHECKING:
    from sweeps.resolve import Resolved
    from sweeps.run import Options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Sweeps for deep-learning science: one YAML file asks a question, the report answers it.\n\n"
    "Start with [bold]assay run quickstart[/bold].",
)
Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep file, or the name of a shipped sweep.")]
Scale = Annotated[str | None, typer.Option("--scale", help="A named override of the file, such as smoke or paper.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; repeatable.")]
Inline = Annotated[bool, typer.Option("--inline", help="One trial after the other in this process, without Ray.")]
Address = Annotated[
    str | None, typer.Option("--address", help="A Ray cluster to join. By default $RAY_ADDRESS, or none.")
]
Concurrent = Annotated[int | None, typer.Option("--concurrent", min=1, help="Trials at a time at most.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--optuna-storage", metavar="URL", help="Also write the studies here: sqlite:///x.db, or a journal file."
    ),
]
AllowCode = Annotated[bool, typer.Option("--allow-code-change", help="Go on although the trainable's code changed.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")]


def main() -> None:
    """Run the command line; what the user got wrong is one line per problem and exit code 2."""
    try:
        app()
    except SpecError as error:
        fail(*str(error).splitlines())
    except _user_errors() as error:
        fail(str(error))


def _user_errors() -> tuple[type[Exception], ...]:
    """The errors of this project that speak to the user. Only modules that are loaded can have raised one."""
    names = {
        "trainables.registry": "TrainableError",
        "trainables.config": "ConfigError",
        "analysis.records": "LedgerError",
        "sweeps.study": "SearchError",
        "sweeps.probe": "ProbeError",
        "sweeps.scaffold": "ScaffoldError",
        "sweeps.tensorboard_server": "BoardError",
        "cluster.session": "SessionError",
        "cluster.placement": "PlacementError",
        "cluster.submit": "SubmitError",
    }
    loaded = [getattr(sys.modules[m], name, None) for m, name in names.items() if m in sys.modules]
    return (RunError, *(error for error in loaded if error))


# --- before a run ----------------------------------------------------------------------------------------------------


@app.command()
def check(sweep: Sweep, scale: Scale = None, sets: Sets = None) -> None:
    """Check a sweep file, all of its scales too, and say everything that is wrong with it. Exits 0 or 2."""
    from sweeps.check import check as check_one
    from sweeps.check import check_all_scales
    from sweeps.resolve import load

    resolved = load(sweep, scale, sets or ())
    check_one(resolved) if scale or sets else check_all_scales(resolved)
    out.print(f"{resolved.path}: fine", markup=False, highlight=False)


@app.command()
def plan(
    sweep: Sweep,
    scale: Scale = None,
    sets: Sets = None,
    probe: Annotated[bool, typer.Option("--probe", help="Time one trial per cell first, briefly.")] = False,
    concurrent: Concurrent = None,
    runs: Runs = None,
) -> None:
    """Show what would run: cells, points, seeds, trials, shapes, resources, time."""
    from sweeps import show
    from sweeps.probe import probe as measure
    from sweeps.run import Options, make_plan

    resolved = _checked(sweep, scale, sets)
    seconds = measure(resolved, lambda line: err.print(line, style="dim", markup=False)) if probe else None
    made = make_plan(resolved, runs or folder.default_runs(), Options(concurrent=concurrent), seconds)
    out.print(show.plan(made))
    if exceeded := made.exceeded():
        fail(*exceeded)


# --- a run -----------------------------------------------------------------------------------------------------------


@app.command()
def run(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    sweep: Sweep,
    scale: Scale = None,
    sets: Sets = None,
    into: Annotated[str | None, typer.Option("--into", metavar="RUN", help="Run what this run lacks, into it.")] = None,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    storage: Storage = None,
    allow_code_change: AllowCode = False,
    runs: Runs = None,
) -> None:
    """Run a sweep: tune every cell, confirm each winner on fresh seeds, write the report."""
    from sweeps import show
    from sweeps.run import Options, create, make_plan

    resolved, root = _checked(sweep, scale, sets), runs or folder.default_runs()
    options = Options(
        inline=inline,
        address=address,
        concurrent=concurrent,
        optuna_storage=storage,
        allow_code_change=allow_code_change,
    )
    made = make_plan(resolved, root, options)
    out.print(show.plan(made))
    if exceeded := made.exceeded():
        fail(*exceeded)
    if into is None:
        _drive(create(resolved, root), options)
    else:
        _drive(folder.find(into, root), options, resolved)


@app.command()
def resume(
    run: Run,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    storage: Storage = None,
    allow_code_change: AllowCode = False,
    retry_failed: RetryFailed = False,
    runs: Runs = None,
) -> None:
    """Go on with a run that was stopped, killed or cut off. What is done is never run again."""
    from sweeps.run import Options

    options = Options(inline, address, concurrent, storage, allow_code_change, retry_failed)
    _drive(folder.find(run, runs or folder.default_runs()), options)


@app.command()
def confirm(
    run: Run,
    max_seeds: Annotated[int, typer.Option("--max-seeds", min=3, metavar="N", help="Per cell; declared once.")],
    until_decided: Annotated[bool, typer.Option("--until-decided", help="Not one round only.")] = False,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    allow_code_change: AllowCode = False,
    runs: Runs = None,
) -> None:
    """Run more confirm seeds where undecided claims need them. Intervals stay valid although the results decide it."""
    from sweeps.confirm import confirm as confirm_more
    from sweeps.run import Options

    options = Options(inline=inline, address=address, concurrent=concurrent, allow_code_change=allow_code_change)
    target = folder.find(run, runs or folder.default_runs())
    say = lambda line: out.print(line, markup=False, highlight=False, soft_wrap=True)  # noqa: E731
    _end(target, confirm_more(target, max_seeds, options, say, until_decided=until_decided))


def _drive(target: Path, options: Options, edited: Resolved | None = None) -> None:
    from sweeps.run import drive

    out.print(f"run folder: {target}", markup=False, highlight=False, soft_wrap=True)
    _end(target, drive(target, options, edited))


def _end(target: Path, state: str) -> None:
    """Write the report of a run that was driven, and exit as it ended."""
    if state != "finished":  # before the report, for which whoever has asked for the end may not wait
        mended = "" if state == "interrupted" else " --allow-code-change --retry-failed"
        hint = f"stopped before the end; `assay resume {target}{mended}` goes on"
        out.print(hint, markup=False, highlight=False, soft_wrap=True)
    _write_report(target)
    if state not in ("finished", "interrupted"):
        err.print(state, style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1)
    if state == "interrupted":
        raise SystemExit(130)


def _write_report(target: Path) -> None:
    from analysis import report
    from analysis.frames import load
    from sweeps import show

    with out.status("writing the report"):
        page = report.write(target)
    out.print(show.answer(report.summary(load(target))))
    out.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"curves: assay tensorboard {target}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(run: Run, runs: Runs = None) -> None:
    """Show how far a run is, also while it goes on."""
    from sweeps import show

    target = folder.find(run, runs or folder.default_runs())
    out.print(show.status(folder.status(target, maximize=folder.maximizes(target))))


@app.command("runs")
def list_runs(runs: Runs = None) -> None:
    """List the runs, oldest first."""
    from sweeps import show

    root = runs or folder.default_runs()
    found = [folder.status(one) for one in folder.all_runs(root)]
    out.print(show.runs(found, root) if found else f"no runs in {root}")


@app.command()
def report(
    run: Run,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless all claims hold.")] = False,
    runs: Runs = None,
) -> None:
    """Write the report of a run: HTML, Markdown and CSV. Works while the run goes on."""
    target = folder.find(run, runs or folder.default_runs())
    _write_report(target)
    if check:
        _check_claims(target)


def _check_claims(target: Path) -> None:
    from analysis.frames import load
    from analysis.verdicts import verdicts

    found = verdicts(load(target))
    if open_ := [verdict for verdict in found if verdict.verdict != "holds"]:
        err.print(f"{len(open_)} of {len(found)} claims do not hold", style="red", highlight=False)
        raise SystemExit(1)


@app.command()
def rerun(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Id of a trial, or the beginning of one.")],
    runs: Runs = None,
) -> None:
    """Run one trial again in this process, for a debugger, and compare its reports with the ledger."""
    from sweeps.rerun import rerun as again

    found = again(folder.find(run, runs or folder.default_runs()), trial)
    print_line = lambda text: out.print(text, markup=False, highlight=False, soft_wrap=True)  # noqa: E731
    print_line(f"trial {found.planned['trial']}: {found.planned['cell']}, seed {found.planned['seed']}")
    different = False
    for step in found:
        verdict = (
            "as before"
            if step.known and not step.differ
            else f"differs in {', '.join(step.differ)}"
            if step.known
            else "new"
        )
        different |= bool(step.differ)
        print_line(f"step {step.step}: {'  '.join(f'{k} {v:.6g}' for k, v in step.metrics.items())}  [{verdict}]")
    print_line(f"{found.ending.outcome}" + (f"\n{found.ending.error}" if found.ending.error else ""))
    raise SystemExit(1 if different else 0)


cli_analysis.add_to(app)


# --- what there is ---------------------------------------------------------------------------------------------------


@app.command("list")
def list_all() -> None:
    """List the sweeps and the trainables that are shipped."""
    from sweeps import resolve, show
    from trainables import registry

    sweeps = show.table("sweep", "question")
    for name, path in resolve.library().items():
        sweeps.add_row(name, show.escape(resolve.load(path).sweep.question))
    out.print(sweeps)
    trainables = show.table("trainable", "what it is")
    for name in registry.names():
        trainables.add_row(name, show.escape(registry.headline(name)))
    out.print(trainables)


@app.command()
def explain(
    trainable: Annotated[str, typer.Argument(metavar="TRAINABLE", help="Such as supervised.classify.")],
) -> None:
    """Show what may be set in the config of a trainable, with types, ranges, defaults and meaning."""
    from sweeps import show
    from trainables import registry

    found = registry.find(trainable)
    fields = registry.explain(trainable)
    out.print(show.explanation(trainable, (found.module.__doc__ or "").strip(), fields, dict(found.metrics or {})))


new = typer.Typer(no_args_is_help=True, help="Make a trainable or a sweep that runs at once, to be changed.")
app.add_typer(new, name="new")


@new.command("trainable")
def new_trainable(name: Annotated[str, typer.Argument(help="Of the file, such as my_attack.")]) -> None:
    """Make NAME.py: a Config, METRICS and a generator."""
    from sweeps import scaffold

    made = scaffold.new_trainable(name, Path())
    out.print(f"made {made}; `assay explain {made}:train` describes it, `assay new sweep` makes a sweep", markup=False)


@new.command("sweep")
def new_sweep(
    name: Annotated[str, typer.Argument(help="Of the sweep, such as my-question.")],
    trainable: Annotated[str | None, typer.Option(help="One that there is; else a new one is made too.")] = None,
) -> None:
    """Make NAME.yaml, and a trainable beside it."""
    from sweeps import scaffold

    made = scaffold.new_sweep(name, Path(), trainable)
    out.print(f"made {' and '.join(map(str, made))}; `assay run {made[-1]}` runs it", markup=False, highlight=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    import json

    from sweeps.schema import schema as make

    typer.echo(json.dumps(make(), indent=2))


# --- clusters --------------------------------------------------------------------------------------------------------


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context,
    sweep: Sweep,
    address: Annotated[str, typer.Option("--address", help="Of the dashboard, such as http://127.0.0.1:8265.")],
    scale: Scale = None,
    sets: Sets = None,
    pip: Annotated[list[str] | None, typer.Option("--pip", help="A package to install there; repeatable.")] = None,
    runs: Runs = None,
) -> None:
    """Run a sweep on a Ray cluster, from this folder, and bring its report home. More options are those of run."""
    from cluster import submit as jobs

    _checked(sweep, scale, sets)
    chosen = [*(["--scale", scale] if scale else []), *(word for text in sets or () for word in ("--set", text))]
    job = jobs.submit(
        ["run", sweep, *chosen, *context.args],
        address=address,
        home=runs or folder.default_runs(),
        say=lambda text: out.out(text, end="", highlight=False),
        pip=pip or (),
    )
    if job.run:
        out.print(f"report: {job.run / 'report' / 'index.html'}", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(0 if job.status == "SUCCEEDED" else 1)


def _checked(sweep: str, scale: str | None, sets: list[str] | None) -> Resolved:
    from sweeps.check import check as check_all
    from sweeps.resolve import load

    resolved = load(sweep, scale, sets or ())
    check_all(resolved)
    return resolved


if __name__ == "__main__":
    main()

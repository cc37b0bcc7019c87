"""The commands that run trials here: run, resume, confirm, rerun."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeps import cli_analysis, folder, storage
from sweeps.cli_sweep import checked
from sweeps.console import Address, Concurrent, Into, Name, Run, Runs, Scale, Sets, Sweep, err, fail, out, say

if TYPE_CHECKING:
    from cluster.world import World
    from sweeps.resolve import Resolved
    from sweeps.run import Options

Inline = Annotated[
    bool,
    typer.Option(
        "--inline", help="One trial after the other in this process, without Ray; short for the backend inline."
    ),
]
Backend = Annotated[
    Literal["ray", "inline", "simulated"] | None,
    typer.Option(
        "--backend",
        help="Where trials run: on Ray, in this process, or nowhere: simulated with made-up learning curves, in "
        "virtual time, on as many machines as you say.",
    ),
]
Worlds = Annotated[
    list[str] | None,
    typer.Option(
        "--world",
        metavar="KEY=VALUE",
        help="Of a simulated run, such as nodes=1000, cpus=8 or node_hours=50, or a YAML file of such keys; "
        "repeatable. The word help lists them.",
    ),
]
Curves = Annotated[
    str | None,
    typer.Option(
        "--curves", metavar="RUN", help="Simulate with the learning curves of this run, not with made-up ones."
    ),
]
Autoscale = Annotated[
    bool,
    typer.Option("--autoscale", help="The cluster adds nodes on demand: ask for more than fits now."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--optuna-storage", metavar="URL", help="Also write the studies here: sqlite:///x.db, or a journal file."
    ),
]
AllowCode = Annotated[bool, typer.Option("--allow-code-change", help="Go on although the trainable's code changed.")]
Takeover = Annotated[
    bool,
    typer.Option(
        "--takeover",
        envvar="ASSAY_TAKEOVER",
        help="Go on in the place of a driver on another machine that has shown no sign of life for a minute; waits "
        "until that is over. One that died on this machine is followed anyway.",
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")]


def run(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    sweep: Sweep,
    scale: Scale = None,
    sets: Sets = None,
    name: Name = None,
    into: Into = None,
    backend: Backend = None,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    autoscale: Autoscale = False,
    storage: Storage = None,
    allow_code_change: AllowCode = False,
    takeover: Takeover = False,
    worlds: Worlds = None,
    curves: Curves = None,
    retry_failed: RetryFailed = False,
    runs: Runs = None,
) -> None:
    """Run a sweep: tune every cell, confirm each winner on fresh seeds, write the report.

    With --name, running it again goes on with it: what is done never runs again.
    """
    from sweeps import show
    from sweeps.run import Options, create, make_plan, named

    if name and into:
        fail("--name and --into: got both, expected one; --into says which run already")

    resolved, root = checked(sweep, scale, sets), runs or folder.default_runs()
    world = _world(backend, worlds, curves and str(folder.find(curves, root)))
    _check_backend(backend, inline=inline)
    if world and storage:
        fail("--optuna-storage: got a simulated run, expected a real one; its values are made up")
    options = Options(
        backend=backend or "",
        inline=inline,
        address=address,
        concurrent=concurrent,
        autoscale=autoscale,
        optuna_storage=storage,
        allow_code_change=allow_code_change,
        takeover=takeover,
        say=say,
        retry_failed=retry_failed,
    )
    made = make_plan(resolved, root, replace(options, concurrent=_at_once(world, resolved, options)))
    out.print(show.plan(made))
    if exceeded := made.exceeded():
        fail(*exceeded)
    if into is not None:
        _drive(folder.find(into, root), options, resolved)
    elif name is not None:
        _drive_unless_finished(named(resolved, root, name, world), options)
    else:
        _drive_new(create(resolved, root, world), options)


def _drive_new(target: Path, options: Options) -> None:
    """A run that cannot even start leaves no folder behind."""
    from cluster.errors import NotReady

    try:
        _drive(target, options)
    except NotReady:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _check_backend(backend: str | None, *, inline: bool) -> None:
    if inline and backend not in (None, "inline"):
        fail(f"--inline: means --backend inline, got --backend {backend} too")


def _world(backend: str | None, worlds: list[str] | None, curves: str | None) -> World | None:
    """What a simulated run is simulated on; None for a real one."""
    if "help" in (worlds or ()):
        from cluster.world import World
        from sweeps import show
        from trainables.explain import fields

        out.print(show.fields("--world", fields(World)))
        raise SystemExit(0)
    if backend == "simulated":
        from sweeps import simulation

        if curves and folder.status(Path(curves)).simulated:
            fail(f"--curves: got {curves}, which is simulated; expected a run that has trained something")
        return simulation.world(worlds or (), curves)
    if worlds or curves:
        fail(f"{'--world' if worlds else '--curves'}: is for --backend simulated, got --backend {backend or 'ray'}")
    return None


def _at_once(world: World | None, resolved: Resolved, options: Options) -> int | None:
    """How many trials run at a time, if that is not what fits on this machine."""
    if world is None:
        return 1 if options.chosen == "inline" else options.concurrent
    from cluster.simulated import places

    resources = resolved.sweep.resources
    return len(places(resources, world, options.concurrent or resources.concurrent))


def resume(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    run: Run,
    backend: Backend = None,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    autoscale: Autoscale = False,
    storage: Storage = None,
    allow_code_change: AllowCode = False,
    retry_failed: RetryFailed = False,
    takeover: Takeover = False,
    runs: Runs = None,
) -> None:
    """Go on with a run that was stopped, killed or cut off. What is done is never run again."""
    from sweeps.run import Options, whose

    _check_backend(backend, inline=inline)
    options = Options(
        inline=inline,
        address=address,
        concurrent=concurrent,
        autoscale=autoscale,
        optuna_storage=storage,
        allow_code_change=allow_code_change,
        retry_failed=retry_failed,
        backend=backend or "",
        takeover=takeover,
        say=say,
    )
    target = folder.find(run, runs or folder.default_runs())
    say(f"code: {whose(target)}")
    _drive(target, options)


def confirm(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    run: Run,
    max_seeds: Annotated[
        int | None,
        typer.Option("--max-seeds", min=3, metavar="N", help="Per cell; declared once, or as seeds.confirm_at_most."),
    ] = None,
    until_decided: Annotated[bool, typer.Option("--until-decided", help="Not one round only.")] = False,
    inline: Inline = False,
    address: Address = None,
    concurrent: Concurrent = None,
    autoscale: Autoscale = False,
    allow_code_change: AllowCode = False,
    takeover: Takeover = False,
    runs: Runs = None,
) -> None:
    """Run more confirm seeds where undecided claims need them. Intervals stay valid although the results decide it."""
    from sweeps.confirm import confirm as confirm_more
    from sweeps.run import Options

    options = Options(
        inline=inline,
        address=address,
        concurrent=concurrent,
        autoscale=autoscale,
        allow_code_change=allow_code_change,
        takeover=takeover,
        say=say,
    )
    target = folder.find(run, runs or folder.default_runs())
    _end(target, confirm_more(target, max_seeds, options, say, until_decided=until_decided))


def _drive_unless_finished(target: Path, options: Options) -> None:
    if options.retry_failed or folder.status(target).state != "finished":
        return _drive(target, options)
    say(f"run folder: {storage.url_of(target) or target}")
    say("it is finished; nothing runs again")
    return cli_analysis.write_report(target)


def _drive(target: Path, options: Options, edited: Resolved | None = None) -> None:
    from sweeps.run import drive

    say(f"run folder: {storage.url_of(target) or target}")
    _end(target, drive(target, options, edited))


def _end(target: Path, state: str) -> None:
    """Write the report of a run that was driven, and exit as it ended."""
    if state != "finished":  # before the report, for which whoever has asked for the end may not wait
        mended = "" if state == "interrupted" else " --allow-code-change --retry-failed"
        say(f"stopped before the end; `assay resume {storage.url_of(target) or target}{mended}` goes on")
    cli_analysis.write_report(target)
    if state not in ("finished", "interrupted"):
        err.print(state, style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1)
    if state == "interrupted":
        raise SystemExit(130)


def rerun(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Id of a trial, or the beginning of one.")],
    runs: Runs = None,
) -> None:
    """Run one trial again in this process, for a debugger, and compare its reports with the ledger."""
    from sweeps.rerun import rerun as again

    found = again(folder.find(run, runs or folder.default_runs()), trial)
    say(f"trial {found.planned['trial']}: {found.planned['cell']}, seed {found.planned['seed']}; {found.comparison}")
    different = False
    for step in found:
        changed = f"differs in {', '.join(step.differ)}" if step.differ else "as before"
        verdict = changed if step.known else "new"
        different |= bool(step.differ)
        say(f"step {step.step}: {'  '.join(f'{k} {v:.6g}' for k, v in step.metrics.items())}  [{verdict}]")
    say(f"{found.ending.outcome}" + (f"\n{found.ending.error}" if found.ending.error else ""))
    raise SystemExit(1 if different else 0)

"""The commands before a run: check, plan, list, explain, schema, new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps import folder
from sweeps.console import Address, Concurrent, Runs, Scale, Sets, Sweep, err, fail, out

if TYPE_CHECKING:
    from cluster.nodes import Machines
    from sweeps.resolve import Resolved


def check(sweep: Sweep, scale: Scale = None, sets: Sets = None) -> None:
    """Check a sweep file, all of its scales too, and say everything that is wrong with it. Exits 0 or 2."""
    from sweeps.check import check as check_one
    from sweeps.check import check_all_scales
    from sweeps.resolve import load

    resolved = load(sweep, scale, sets or ())
    check_one(resolved) if scale or sets else check_all_scales(resolved)
    out.print(f"{resolved.path}: fine", markup=False, highlight=False)


def plan(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    sweep: Sweep,
    nodes: Annotated[
        Path | None, typer.Argument(metavar="[NODES]", help="A file that describes the nodes of a cluster.")
    ] = None,
    scale: Scale = None,
    sets: Sets = None,
    probe: Annotated[bool, typer.Option("--probe", help="Time one trial per cell first, briefly.")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="What would run where: on NODES, or on a Ray cluster.")
    ] = False,
    address: Address = None,
    concurrent: Concurrent = None,
    runs: Runs = None,
) -> None:
    """Show what would run: cells, points, seeds, trials, shapes, resources, time, and with --cluster on which nodes.

    A file of nodes reads: nodes: [{name: worker, count: 8, cpus: 32, gpus: 4, memory: 256GB, accelerator: H100}]
    """
    from sweeps import show
    from sweeps.probe import probe as measure
    from sweeps.run import Options, make_plan

    resolved = checked(sweep, scale, sets)
    machines = _machines(nodes, address) if cluster or nodes or address else []
    at_once = _at_once(resolved, machines, concurrent) if machines else concurrent
    seconds = measure(resolved, lambda line: err.print(line, style="dim", markup=False)) if probe else None
    made = make_plan(resolved, runs or folder.default_runs(), Options(concurrent=at_once), seconds)
    out.print(show.plan(made))
    if machines:
        out.print(show.layout(made, machines))
    if exceeded := made.exceeded():
        fail(*exceeded)


def _at_once(resolved: Resolved, machines: Sequence[Machines], concurrent: int | None) -> int:
    """How many trials run at a time. Raises PlacementError, with every kind of node, if none ever can."""
    from cluster.nodes import one_by_one
    from cluster.placement import concurrent as fitting

    resources = resolved.sweep.resources
    return fitting(resources, one_by_one(machines), concurrent or resources.concurrent)


def _machines(described: Path | None, address: str | None) -> list[Machines]:
    if described:
        from sweeps.nodes_file import load

        return load(described)
    from cluster import session
    from cluster.nodes import joined

    err.print(f"asking Ray at {address}" if address else "asking Ray", style="dim", markup=False)
    with session.session(address):
        return joined()


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


def explain(
    trainable: Annotated[str, typer.Argument(metavar="TRAINABLE", help="Such as supervised.classify.")],
) -> None:
    """Show what may be set in the config of a trainable, with types, ranges, defaults and meaning."""
    from sweeps import show
    from trainables import registry

    found = registry.find(trainable)
    fields = registry.explain(trainable)
    doc, metrics = (found.module.__doc__ or "").strip(), dict(found.metrics or {})
    out.print(show.explanation(trainable, doc, fields, metrics, stacks=found.stacks))


def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    import json

    from sweeps.schema import schema as make

    typer.echo(json.dumps(make(), indent=2))


def checked(sweep: str, scale: str | None, sets: list[str] | None) -> Resolved:
    """The sweep as it would run; raises SpecError if anything is wrong with it."""
    from sweeps.check import check as check_all
    from sweeps.resolve import load

    resolved = load(sweep, scale, sets or ())
    check_all(resolved)
    return resolved


new = typer.Typer(no_args_is_help=True, help="Make a trainable or a sweep that runs at once, to be changed.")


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

"""The commands for a Ray cluster that is reached through its dashboard: submit, attach, stop, fetch, jobs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from analysis.records import DECISIONS
from sweeps import cli_analysis, folder
from sweeps.cli_sweep import checked
from sweeps.console import Into, Name, Runs, Scale, Sets, Sweep, fail, out, say

if TYPE_CHECKING:
    from cluster.jobs import Cluster
    from sweeps.resolve import Resolved

Address = Annotated[
    str, typer.Option("--address", envvar="RAY_API_SERVER_ADDRESS", help="Of the dashboard: http://127.0.0.1:8265.")
]
JobOrRun = Annotated[
    str, typer.Argument(metavar="JOB_OR_RUN", help="The id of a job, or <sweep>/<name>, or <sweep> for its last one.")
]
Pip = Annotated[
    list[str] | None, typer.Option("--pip", help="A package to install there, or a .txt that lists some; repeatable.")
]
Uv = Annotated[list[str] | None, typer.Option("--uv", help="The same, installed with uv.")]
Image = Annotated[
    str, typer.Option("--image", help="A container with Assay in it, run by podman. No files are sent into it.")
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME[=VALUE]",
        help="A variable of the job. NAME alone is a secret, taken from here.",
    ),
]


def submit(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    context: typer.Context,
    sweep: Sweep,
    address: Address,
    scale: Scale = None,
    sets: Sets = None,
    name: Name = None,
    into: Into = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as it is sent.")] = False,
    pip: Pip = None,
    uv: Uv = None,
    image: Image = "",
    env: Env = None,
    runs: Runs = None,
) -> None:
    """Run a sweep on a Ray cluster, from this folder, and bring its report home. More options are those of run.

    Submitting the same again goes on with it: with the job if there is one, else with the run where it has stopped. A
    run that is finished comes home. The same is the same sweep, scale and --set, or the same --name. Ctrl-C leaves the
    job alone.
    """
    from cluster.jobs import Cluster
    from cluster.needs import needs
    from cluster.submit import Order
    from cluster.submit import submit as send

    if name and into:
        fail("--name and --into: got both, expected one; --into says which run already")
    resolved = checked(sweep, scale, sets)
    wanted = needs(pip=pip or (), uv=uv or (), image=image, env=env or ())
    run, which = _identity(resolved, name, into)
    chosen = [*(["--scale", scale] if scale else []), *(word for text in sets or () for word in ("--set", text))]
    if image:  # where the text that is sent is resolved already
        chosen = []
    order = Order(run, [sweep, *chosen, *which, *context.args], _text(resolved), wanted)
    cluster = Cluster(address)
    job = send(order, cluster, _show)
    if detach:
        say(f"look at it:  assay attach {run} --address {cluster.address}")
        say(f"stop it:     assay stop {run} --address {cluster.address}")
        say(f"its report:  assay fetch {run} --address {cluster.address}")
        return
    _follow(cluster, job, run, runs, wanted.runtime_env())


def attach(job: JobOrRun, address: Address, runs: Runs = None) -> None:
    """Show the log of a job from its beginning, until it ends; then bring its report home. Ctrl-C leaves it alone."""
    from cluster.jobs import Cluster
    from cluster.submit import find

    cluster = Cluster(address)
    found = find(cluster, job)
    _follow(cluster, found.id, found.run or found.id, runs, found.runtime_env)


def stop(job: JobOrRun, address: Address) -> None:
    """Stop a job. Nothing is lost: submitting the same again goes on."""
    from cluster.jobs import Cluster
    from cluster.submit import find
    from cluster.submit import stop as end

    cluster = Cluster(address)
    found = find(cluster, job)
    if not found.active:
        say(f"job {found.id} has ended before: {found.status.lower()}")
        return
    say(f"stopping job {found.id}, which gets half a minute to finish its records")
    status = end(cluster, found)
    say(f"job {found.id}: {status.lower()}")
    if status not in ("STOPPED", "SUCCEEDED", "FAILED"):
        fail(f"job {found.id} does not end; `ray job stop {found.id} --address {cluster.address}` asks again")


def fetch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="<sweep>/<name> or <sweep>, as `assay jobs` shows it.")],
    address: Address,
    pip: Pip = None,
    uv: Uv = None,
    image: Image = "",
    env: Env = None,
    runs: Runs = None,
) -> None:
    """Bring the ledger and the report of a run home, at any time, also while it goes on.

    It looks where the job of the run has looked; if the cluster has forgotten that, as after a restart, where the
    options say, such as --env ASSAY_RUNS=/shared/runs.
    """
    from cluster.jobs import Cluster, SubmitError
    from cluster.needs import needs
    from cluster.submit import find

    wanted = needs(pip=pip or (), uv=uv or (), image=image, env=env or ()).runtime_env()
    cluster = Cluster(address)
    try:
        known = find(cluster, run)
    except SubmitError:
        _bring(cluster, run, runs, wanted)
    else:
        given = pip or uv or image or env
        _bring(cluster, known.run or run, runs, wanted if given else known.runtime_env)


def jobs(address: Address) -> None:
    """List the jobs of a cluster, oldest first."""
    from cluster.jobs import Cluster
    from sweeps import show

    cluster = Cluster(address)
    found = cluster.jobs()
    out.print(show.jobs(found) if found else f"no jobs on {cluster.address}")


def pack(run: Annotated[str, typer.Argument(metavar="RUN")], runs: Runs = None) -> None:
    """Print a run for the log of a job, from which `assay fetch` unpacks it."""
    from cluster import pack as packing

    target = folder.find(run, runs or folder.default_runs())
    lines = list(packing.to_lines(packing.pack(target)))
    typer.echo(f"run folder: {target}")
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _identity(resolved: Resolved, name: str | None, into: str | None) -> tuple[str, list[str]]:
    """What the run is called on the cluster, and the options that make ``assay run`` take it up again."""
    if into:
        return (into if "/" in into else f"{resolved.sweep.sweep}/{into}"), ["--into", into]
    called = folder.checked_name(name or hashlib.sha256(_text(resolved).encode()).hexdigest()[:8])
    return f"{resolved.sweep.sweep}/{called}", ["--name", called]


def _text(resolved: Resolved) -> str:
    from sweeps import resolve

    return resolve.dump(resolved)


def _show(text: str) -> None:
    out.out(text, end="", highlight=False)


def _follow(cluster: Cluster, job: str, run: str, runs: Path | None, environment: Mapping[str, Any]) -> NoReturn:
    """Show a job until it ends, bring its run home, and exit as it did."""
    from cluster.submit import attach as follow

    try:
        status, there = follow(cluster, job, _show)
    except KeyboardInterrupt:
        say(f"\njob {job} goes on; `assay attach {run} --address {cluster.address}` shows it again")
        raise SystemExit(130) from None
    if there:
        _bring(cluster, there, runs, environment)
    raise SystemExit(0 if status == "SUCCEEDED" else 1)


def _bring(cluster: Cluster, run: str, runs: Path | None, environment: Mapping[str, Any]) -> None:
    from cluster.submit import fetch as bring

    with out.status("bringing it home"):
        target = bring(cluster, run, runs or folder.default_runs(), environment)
    page = target / "report" / "index.html"
    if folder.status(target).state == "finished" and page.exists():
        say(f"report: {page}")
    elif (target / DECISIONS).exists():  # what it has by now; the report that came along may be older
        cli_analysis.write_report(target)
    else:
        say(f"{target}: it has no results yet")

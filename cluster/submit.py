"""Runs on a Ray cluster: sends, follows and stops them, and brings them home. Submitting one again resumes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import travel
from cluster.jobs import RUN, Cluster, Job, SubmitError
from cluster.needs import STOP_WAIT_S, Needs
from cluster.pack import PackError, from_log, unpack

_RUN_FOLDER = re.compile(r"^run folder: (.+?)\s*$", re.MULTILINE)
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_PACKED_TOO = ("pip", "uv", "image_uri", "env_vars")  # what of a job's environment the job that packs its run needs
Say = Callable[[str], object]


@dataclass(frozen=True)
class Order:
    """A run to be submitted: ``assay run`` with these arguments."""

    run: str  # <sweep>/<name>: the same run has the same
    arguments: Sequence[str]  # the sweep first
    text: str  # of the sweep with everything resolved, for images, which cannot be given files
    needs: Needs
    working_dir: Path = Path()


def submit(order: Order, cluster: Cluster, say: Say) -> str:
    """Start the job of a run, or find the one that goes on already; its id.

    Raises:
        SubmitError: if that is not possible.
    """
    earlier = [job for job in cluster.jobs() if job.run == order.run]
    if active := [job for job in earlier if job.active]:
        say(f"{order.run} is {active[-1].status.lower()} already, as job {active[-1].id}\n")
        return active[-1].id
    command, environment = _command(order, say)
    job = f"assay-{order.run.replace('/', '-')}-{1 + _last_number(earlier)}"
    cluster.submit(command, environment, submission_id=job, metadata={RUN: order.run})
    say(f"{order.run} is sent as job {job}{', which goes on with it' if earlier else ''}\n")
    return job


def _command(order: Order, say: Say) -> tuple[str, dict[str, Any]]:
    environment = order.needs.runtime_env()
    if order.needs.image:
        return travel.entrypoint_with_text(order.text, order.arguments[1:]), environment
    command = travel.entrypoint(["run", *order.arguments], order.working_dir)
    files, size = travel.check_size(order.working_dir)
    say(f"sending this folder: {files} files, {travel.mib(size)}\n")
    return command, environment | travel.code(order.working_dir)


def _last_number(jobs: Sequence[Job]) -> int:
    """Two who submit the same run at once choose the same id, and the cluster refuses the second."""
    return max((int(text) for job in jobs if (text := job.id.rpartition("-")[2]).isdigit()), default=0)


def find(cluster: Cluster, name: str) -> Job:
    """The job with this id, or the last one of the run ``<sweep>/<name>``, or of the sweep. Raises SubmitError."""
    known = cluster.jobs()
    for mine in (
        [job for job in known if job.id == name],
        [job for job in known if job.run == name],
        [job for job in known if job.run and job.run.partition("/")[0] == name],
    ):
        if mine:
            return mine[-1]
    raise SubmitError(f"{name}: {cluster.address} knows no such job or run; `assay jobs` lists them")


def attach(cluster: Cluster, job: str, say: Say) -> tuple[str, str]:
    """Show the log of a job to its end; returns its status and the run folder there, if it has said it."""
    pieces: list[str] = []

    def show(text: str) -> None:
        pieces.append(text)
        say(text)

    status = cluster.follow(job, show)
    return status, run_folder("".join(pieces)) or ""


def stop(cluster: Cluster, job: Job) -> str:
    """Ask a job to end, and wait until it has; its status then."""
    if not job.active:
        return job.status
    cluster.stop(job.id)
    return cluster.wait(job.id, STOP_WAIT_S + 15)


def fetch(cluster: Cluster, run: str, home: Path, environment: Mapping[str, Any]) -> Path:
    """Bring lock, environment, ledger and report of a run to ``home/<sweep>/<name>``, also while it goes on.

    Args:
        cluster: where it is.
        run: a run folder there, or ``<sweep>/<name>``, or ``<sweep>`` for its latest.
        home: where run folders are here.
        environment: the runtime environment of the run.
    """
    needs = {key: value for key, value in environment.items() if key in _PACKED_TOO}
    if "image_uri" not in needs:
        needs |= travel.own_code()
    job = cluster.submit(f"{travel.ASSAY} pack {shlex.quote(run)}", needs)
    status = cluster.wait(job)
    log = cluster.log(job)
    if status != "SUCCEEDED":
        last = (log.strip().splitlines() or ["no reason given"])[-1]
        raise SubmitError(f"{run} on {cluster.address} cannot be brought home: {last}")
    cluster.forget(job)
    target = home_folder(run_folder(log) or run, home)
    try:
        unpack(from_log(log), target)
    except PackError as error:
        raise SubmitError(f"{run} on {cluster.address} cannot be brought home: {error}") from None
    return target


def home_folder(run: str, home: Path) -> Path:
    """Where the run folder ``run`` of a cluster belongs here."""
    names = run.rstrip("/").split("/")[-2:]
    if len(names) < 2 or not all(_SAFE_NAME.fullmatch(name) for name in names):
        raise SubmitError(f"run folder: got {run!r}, expected .../<sweep>/<name>")
    return home.joinpath(*names)


def run_folder(log: str) -> str | None:
    """The run folder that the log of a job tells of."""
    return found[1] if (found := _RUN_FOLDER.search(log)) else None

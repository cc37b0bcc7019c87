"""Sends a command to a Ray cluster as a job, with the code that it needs, and brings the report home.

Everything goes through the job interface of the dashboard, the one port that a laptop can usually reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster import travel
from cluster.pack import PackError, from_log, unpack
from cluster.session import token_file
from cluster.travel import TravelError

POLL_S = 1.0
_RUN_FOLDER = re.compile(r"^run folder: (.+?)\s*$", re.MULTILINE)
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class SubmitError(Exception):
    """A job that cannot be sent, followed or brought home; one line."""


@dataclass(frozen=True)
class Job:
    """A job that has ended."""

    id: str
    status: str  # SUCCEEDED, FAILED or STOPPED
    run: Path | None  # the run folder as it came home


def submit(
    arguments: Sequence[str],
    *,
    address: str,
    home: Path,
    say: Callable[[str], object],
    working_dir: Path = Path(),
    pip: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Job:
    """Run ``assay`` with these arguments on a cluster, show its log, and bring its run to ``home/<sweep>/<name>``.

    Raises:
        SubmitError: if that is not possible.
    """
    try:
        command = travel.entrypoint(arguments, working_dir)
        needs = travel.runtime_env(working_dir, pip=pip, env=env)
    except TravelError as error:
        raise SubmitError(str(error)) from None
    cluster = Cluster(address)
    job = cluster.submit(command, needs)
    at = f"--address {cluster.address}"
    say(f"job {job} is sent; it goes on without this process; `ray job stop {job} {at}` stops it\n")
    pieces: list[str] = []

    def show(text: str) -> None:
        pieces.append(text)
        say(text)

    status = cluster.follow(job, show)
    run = run_folder("".join(pieces))
    return Job(job, status, cluster.fetch(run, home, needs) if run else None)


class Cluster:
    """A Ray cluster, reached through its job interface.

    Raises:
        SubmitError: if there is none at ``address``, or it does not accept the token.
    """

    def __init__(self, address: str) -> None:
        self.address = checked_address(address)
        self._client = self._asked(_client, self.address)

    def submit(self, command: str, runtime_env: Mapping[str, Any]) -> str:
        """Start a job and return its id."""
        return self._asked(self._client.submit_job, entrypoint=command, runtime_env=dict(runtime_env))

    def follow(self, job: str, say: Callable[[str], object]) -> str:
        """Give the job's log to ``say``, piece by piece, until it ends: ``SUCCEEDED``, ``FAILED`` or ``STOPPED``."""
        status = self._asked(asyncio.run, self._tail(job, say))
        if status == "FAILED" and (message := self._asked(self._client.get_job_info, job).message):
            say(message.partition(", last available logs")[0].rstrip() + "\n")  # the log was shown already
        return status

    async def _tail(self, job: str, say: Callable[[str], object]) -> str:
        import aiohttp

        seen = 0
        while True:
            at = 0
            with contextlib.suppress(RuntimeError, OSError, aiohttp.ClientError):  # a lost connection is made anew
                async for text in self._client.tail_job_logs(job):
                    at += len(text)
                    if at > seen:  # which starts from the beginning
                        say(text[seen - at :])
                        seen = at
            status = self._client.get_job_status(job)
            if status.is_terminal():
                return status.value
            await asyncio.sleep(POLL_S)

    def log(self, job: str) -> str:
        return self._asked(self._client.get_job_logs, job)

    def fetch(self, run: str, home: Path, runtime_env: Mapping[str, Any]) -> Path:
        """Bring lock, environment, ledger and report of the run folder ``run`` of the cluster to ``home``.

        Returns:
            The run folder here: ``home/<sweep>/<name>``.
        """
        target = home_folder(run, home)
        needs = {key: value for key, value in runtime_env.items() if key != "pip"}
        job = self.submit(shlex.join(["python", "-m", "cluster.pack", run]), needs)
        status = self.wait(job)
        if status != "SUCCEEDED":
            last = (self.log(job).strip().splitlines() or ["no reason given"])[-1]
            raise SubmitError(f"{run} on {self.address} cannot be brought home: {last}")
        try:
            unpack(from_log(self.log(job)), target)
        except PackError as error:
            raise SubmitError(f"{run} on {self.address} cannot be brought home: {error}") from None
        return target

    def wait(self, job: str) -> str:
        while not (status := self._asked(self._client.get_job_status, job)).is_terminal():
            time.sleep(POLL_S)
        return status.value

    def _asked(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask the cluster; whatever goes wrong on the way becomes a SubmitError."""
        from ray.exceptions import AuthenticationError

        try:
            return question(*args, **kwargs)
        except AuthenticationError as error:
            raise SubmitError(f"{self.address}: {_about_token(str(error))}") from None
        except (RuntimeError, ValueError, OSError) as error:  # those of requests are OSErrors
            raise SubmitError(f"{self.address}: {_first_line(error)}") from None


def checked_address(address: str) -> str:
    """``address`` as a URL. Raises SubmitError if it is none of a dashboard."""
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or "://" in address)
    except ValueError:  # a port that is no number
        fine = False
    if not fine:
        raise SubmitError(f"address: got {address!r}, expected that of a dashboard, such as http://127.0.0.1:8265")
    return url.rstrip("/")


def home_folder(run: str, home: Path) -> Path:
    """Where the run folder ``run`` of a cluster belongs here."""
    names = Path(run).parts[-2:]
    if len(names) < 2 or not all(_SAFE_NAME.fullmatch(name) for name in names):
        raise SubmitError(f"run folder: got {run!r}, expected .../<sweep>/<name>")
    return home.joinpath(*names)


def run_folder(log: str) -> str | None:
    """The run folder that the log of a job tells of."""
    return found[1] if (found := _RUN_FOLDER.search(log)) else None


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    for chatty in ("_private.runtime_env", "dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk"):
        logging.getLogger(f"ray.{chatty}").setLevel(logging.ERROR)
    with _environment({"RAY_API_SERVER_ADDRESS": address}):  # or else RAY_ADDRESS would win over ``address``
        return JobSubmissionClient(address, headers=_authorization())


def _authorization() -> dict[str, str]:
    """The token goes along by hand: Ray decides when it is imported whether to send one itself."""
    if (where := token_file()) is None:
        return {}
    token = os.environ[where] if where == "RAY_AUTH_TOKEN" else Path(where).read_text(encoding="utf-8")
    return {"Authorization": f"Bearer {token.strip()}"}


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _about_token(error: str) -> str:
    if (where := token_file()) is None:
        return "the cluster wants a token and there is none here; put it into ~/.ray/auth_token or RAY_AUTH_TOKEN"
    return f"the cluster does not accept the token in {where}" if "failed" in error else _first_line(error)


def _first_line(error: BaseException | str) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

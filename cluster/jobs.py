"""The job interface of a Ray cluster's dashboard, the one port that a laptop can usually reach."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.session import token_file
from trainables.ambient import kept_variables

POLL_S = 1.0
AGENT_S = 30.0  # how long a head that has just begun is given until it can start jobs
LOOK_S = 2.0  # the head looks once a second whether a job has ended
_NO_AGENT = "No available agent to submit job"
_ABOUT_AGENT = (
    "the head can start no jobs; unless it has just begun, another Ray on its machine has the port of its agent, "
    "and `ray start --dashboard-agent-listen-port` gives it another one"
)
RUN = "assay-run"  # the key of a job's metadata under which its run is named
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class SubmitError(Exception):
    """A job that cannot be sent, followed, stopped or brought home; one line."""


@dataclass(frozen=True)
class Job:
    """A job as the cluster knows it."""

    id: str
    status: str  # PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    run: str  # <sweep>/<name>; empty if it was not submitted by us
    started: float  # seconds since 1970; 0 if it has not
    ended: float
    runtime_env: Mapping[str, Any]

    @property
    def active(self) -> bool:
        return self.status not in ENDED


class Cluster:
    """A Ray cluster, reached through its job interface.

    Raises:
        SubmitError: if there is none at ``address``, or it does not accept the token.
    """

    def __init__(self, address: str) -> None:
        self.address = checked_address(address)
        self._client = self._asked(_client, self.address)

    def submit(self, command: str, runtime_env: Mapping[str, Any], **options: Any) -> str:
        """Start a job and return its id. ``options``: ``submission_id`` and ``metadata``."""
        until = time.monotonic() + AGENT_S
        while True:
            try:
                return self._asked(
                    self._client.submit_job, entrypoint=command, runtime_env=dict(runtime_env), **options
                )
            except SubmitError as error:
                if _NO_AGENT not in str(error):
                    raise
                if time.monotonic() > until:
                    raise SubmitError(f"{self.address}: {_ABOUT_AGENT}") from None
            time.sleep(POLL_S)

    def jobs(self) -> list[Job]:
        """All jobs that were submitted and that the head still knows, oldest first."""
        known = [job for job in self._asked(self._client.list_jobs) if job.submission_id]
        return sorted(map(_job, known), key=lambda job: (job.started or float("inf"), job.id))

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

    def wait(self, job: str, limit_s: float = float("inf")) -> str:
        """The status of a job when it has ended, or after ``limit_s``."""
        until = time.monotonic() + limit_s
        while not (status := self._asked(self._client.get_job_status, job)).is_terminal() and time.monotonic() < until:
            time.sleep(POLL_S)
        return status.value

    def stop(self, job: str) -> None:
        """Ask a job to end. It gets the time that its runtime environment says."""
        self._asked(self._client.stop_job, job)

    def forget(self, job: str) -> None:
        """Take an ended job from the list."""
        time.sleep(LOOK_S)  # the head looks after each job, and would put one on the list as failed that is gone before
        self._asked(self._client.delete_job, job)

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


def _job(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        status=details.status.value,
        run=(details.metadata or {}).get(RUN, ""),
        started=(details.start_time or 0) / 1000,
        ended=(details.end_time or 0) / 1000,
        runtime_env=details.runtime_env or {},
    )


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    for chatty in ("_private.runtime_env", "dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk"):
        logging.getLogger(f"ray.{chatty}").setLevel(logging.ERROR)
    with kept_variables("RAY_API_SERVER_ADDRESS"):
        os.environ["RAY_API_SERVER_ADDRESS"] = address  # or else RAY_ADDRESS would win over ``address``
        return JobSubmissionClient(address, headers=_authorization())


def _authorization() -> dict[str, str]:
    """The token goes along by hand: Ray decides when it is imported whether to send one itself."""
    if (where := token_file()) is None:
        return {}
    token = os.environ[where] if where == "RAY_AUTH_TOKEN" else Path(where).read_text(encoding="utf-8")
    return {"Authorization": f"Bearer {token.strip()}"}


def _about_token(error: str) -> str:
    if (where := token_file()) is None:
        return "the cluster wants a token and there is none here; put it into ~/.ray/auth_token or RAY_AUTH_TOKEN"
    return f"the cluster does not accept the token in {where}" if "failed" in error else _first_line(error)


def _first_line(error: BaseException | str) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

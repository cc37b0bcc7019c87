"""Sends a command to a Ray cluster as a job, with the code that it needs, and brings the report home.

Everything goes through the job interface of the dashboard, the one port that a laptop can usually reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.pack import PackError, from_log, unpack
from cluster.session import token_file

PACKAGES = ("sweeps", "trainables", "cluster", "analysis")
EXCLUDES = (
    "/runs",
    ".git",
    ".venv",
    "venv",
    "__pycache__",
    "*.egg-info",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".ipynb_checkpoints",
    "node_modules",
)
LIMIT_BYTES = 100 * 1024**2  # the dashboard refuses larger uploads, whatever Ray's documentation says (512 MiB)
STOP_WAIT_S = 30  # what a run gets to finish its records when the job is stopped
_RUN_FOLDER = re.compile(r"^run folder: (.+?)\s*$", re.MULTILINE)
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class SubmitError(Exception):
    """A job that cannot be sent, followed or brought home; one line."""


# --- what travels ----------------------------------------------------------------------------------------------------


def runtime_env(working_dir: Path, *, pip: Sequence[str] = (), env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a job finds on the cluster: the working folder, this project's code, and packages from pip.

    Raises:
        SubmitError: if the folder is too large; names what is largest in it.
    """
    _check_size(working_dir)
    found = {
        "working_dir": str(working_dir),
        "excludes": list(EXCLUDES),
        "py_modules": [str(path) for path in _packages() if not path.is_relative_to(working_dir.resolve())],
        "pip": list(pip),
        "env_vars": {
            "PYTHONUNBUFFERED": "1",
            "RAY_JOB_STOP_SIGNAL": "SIGTERM",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
            **(env or {}),
        },
    }
    return {key: value for key, value in found.items() if value}


def _packages() -> Iterator[Path]:
    """The folders of this project's packages, wherever they are installed."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is part of this project"
        yield from (Path(place).resolve() for place in spec.submodule_search_locations or ())


def travelling(folder: Path) -> dict[Path, int]:
    """The files that Ray will upload, by its own rules (``.gitignore`` and ``.rayignore`` too), with their sizes."""
    from ray._private.runtime_env import packaging

    found: dict[Path, int] = {}

    def visit(path: Path) -> None:
        if path.is_file():
            found[path.relative_to(folder)] = path.stat().st_size

    ignored = os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") != "1"
    excludes = [packaging._get_excludes(folder, list(EXCLUDES))]  # noqa: SLF001
    packaging._dir_travel(folder, excludes, visit, include_gitignore=ignored, logger=None)  # noqa: SLF001
    return found


def _check_size(folder: Path) -> None:
    if not folder.is_dir():
        raise SubmitError(f"{folder}: no such folder")
    sizes: Counter[str] = Counter()
    for path, size in travelling(folder.resolve()).items():
        sizes[path.parts[0]] += size
    if sizes.total() > LIMIT_BYTES:
        largest = ", ".join(f"{name} {_mib(size)}" for name, size in sizes.most_common(5))
        raise SubmitError(
            f"{folder.resolve()} is too large to send: {_mib(sizes.total())}, at most {_mib(LIMIT_BYTES)}; "
            f"largest: {largest}; list in .rayignore what the job does not need"
        )


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def entrypoint(arguments: Sequence[str], working_dir: Path) -> str:
    """The command line of the job: ``assay`` with these arguments. Files are named as seen from the working folder.

    Raises:
        SubmitError: if a file that is named does not travel.
    """
    words = [_as_seen_there(word, working_dir.resolve()) for word in arguments]
    return shlex.join(["python", "-m", "sweeps.cli", *words])


def _as_seen_there(word: str, folder: Path) -> str:
    path = Path(word)
    if word.startswith("-") or not path.is_file():
        return word
    path = path.parent.resolve() / path.name
    if not path.is_relative_to(folder):
        raise SubmitError(f"{word} cannot travel to the cluster: it is not inside {folder}")
    if path.relative_to(folder) not in travelling(folder):
        raise SubmitError(f"{word} cannot travel to the cluster: a .gitignore or .rayignore leaves it out")
    return path.relative_to(folder).as_posix()


# --- the cluster -----------------------------------------------------------------------------------------------------


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
            say(message.rstrip() + "\n")
        return status

    async def _tail(self, job: str, say: Callable[[str], object]) -> str:
        seen = 0
        while True:
            at = 0
            with contextlib.suppress(RuntimeError, OSError):  # a lost connection is taken up again
                async for text in self._client.tail_job_logs(job):
                    at += len(text)
                    if at > seen:  # a new connection starts from the beginning
                        say(text[seen - at :])
                        seen = at
            status = self._client.get_job_status(job)
            if status.is_terminal():
                return status.value
            await asyncio.sleep(1.0)

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

    def wait(self, job: str, every_s: float = 0.5) -> str:
        while not (status := self._asked(self._client.get_job_status, job)).is_terminal():
            time.sleep(every_s)
        return status.value

    def _asked(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask the cluster; whatever goes wrong on the way becomes a SubmitError."""
        from ray.exceptions import AuthenticationError

        try:
            return question(*args, **kwargs)
        except AuthenticationError as error:
            raise SubmitError(f"{self.address}: {_about_token(str(error))}") from None
        except (RuntimeError, ValueError, OSError) as error:  # OSError holds those of requests and aiohttp
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
    import logging

    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)
    # without the first, RAY_ADDRESS would win over the address that is asked for; without the second, no token is sent
    forced = {"RAY_API_SERVER_ADDRESS": address}
    with _environment(forced | ({"RAY_AUTH_MODE": "token"} if token_file() else {})):
        return JobSubmissionClient(address)


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

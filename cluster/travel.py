"""What travels to a cluster with a job: the working folder, the code of this project, packages, variables."""

from __future__ import annotations

import logging
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
_log = logging.getLogger(__name__)


class TravelError(Exception):
    """Something that cannot travel to a cluster; one line."""


def runtime_env(working_dir: Path, *, pip: Sequence[str] = (), env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a job finds on the cluster: the working folder, this project's code, and packages from pip.

    Raises:
        TravelError: if the folder is too large; names what is largest in it.
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


def _packages() -> list[Path]:
    """The folders of this project's packages: side by side, wherever it is installed."""
    return [Path(__file__).resolve().parents[1] / name for name in PACKAGES]


def travelling(folder: Path) -> dict[Path, int]:
    """The files that Ray will upload, by its own rules (``.gitignore`` and ``.rayignore`` too), with their sizes."""
    from ray._private.runtime_env import packaging

    found: dict[Path, int] = {}

    def visit(path: Path) -> None:
        if path.is_file():
            found[path.relative_to(folder)] = path.stat().st_size

    ignored = os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") != "1"
    excludes = [packaging._get_excludes(folder, list(EXCLUDES))]
    packaging._dir_travel(folder, excludes, visit, include_gitignore=ignored, logger=_log)
    return found


def _check_size(folder: Path) -> None:
    if not folder.is_dir():
        raise TravelError(f"{folder}: no such folder")
    sizes: Counter[str] = Counter()
    for path, size in travelling(folder.resolve()).items():
        sizes[path.parts[0]] += size
    if sizes.total() > LIMIT_BYTES:
        largest = ", ".join(f"{name} {_mib(size)}" for name, size in sizes.most_common(5))
        raise TravelError(
            f"{folder.resolve()} is too large to send: {_mib(sizes.total())}, at most {_mib(LIMIT_BYTES)}; "
            f"largest: {largest}; list in .rayignore what the job does not need"
        )


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def entrypoint(arguments: Sequence[str], working_dir: Path) -> str:
    """The command line of the job: ``assay`` with these arguments. Files are named as seen from the working folder.

    Raises:
        TravelError: if a file that is named does not travel.
    """
    words = [_as_seen_there(word, working_dir.resolve()) for word in arguments]
    return shlex.join(["python", "-m", "sweeps.cli", *words])


def _as_seen_there(word: str, folder: Path) -> str:
    path = Path(word)
    if word.startswith("-") or not path.is_file():
        return word
    path = path.parent.resolve() / path.name
    if not path.is_relative_to(folder):
        raise TravelError(f"{word} cannot travel to the cluster: it is not inside {folder}")
    if path.relative_to(folder) not in travelling(folder):
        raise TravelError(f"{word} cannot travel to the cluster: a .gitignore or .rayignore leaves it out")
    return path.relative_to(folder).as_posix()

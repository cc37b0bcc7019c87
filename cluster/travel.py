"""What travels to a cluster with a job: the working folder, the code of this project, or the text of a sweep."""

from __future__ import annotations

import base64
import logging
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.jobs import SubmitError

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
LONGEST_TEXT = 60_000  # of a sweep in a command line
ASSAY = "python -m sweeps.cli"
_log = logging.getLogger(__name__)


def code(working_dir: Path) -> dict[str, Any]:
    """The fields of a runtime environment that bring the working folder, and this project if it lies elsewhere.

    Raises:
        SubmitError: if the folder is too large; names what is largest in it.
    """
    check_size(working_dir)
    found = {"working_dir": str(working_dir), "excludes": list(EXCLUDES), **own_code(without=working_dir)}
    return {key: value for key, value in found.items() if value}


def own_code(without: Path | None = None) -> dict[str, Any]:
    """The code of this project: side by side, wherever it is installed. Nothing if it lies in ``without``."""
    folders = [Path(__file__).resolve().parents[1] / name for name in PACKAGES]
    elsewhere = [str(path) for path in folders if not (without and path.is_relative_to(without.resolve()))]
    return {"py_modules": elsewhere} if elsewhere else {}


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


def check_size(folder: Path) -> tuple[int, int]:
    """How many files travel, and their bytes. Raises SubmitError if they are too many bytes."""
    if not folder.is_dir():
        raise SubmitError(f"{folder}: no such folder")
    sizes: Counter[str] = Counter()
    files = travelling(folder.resolve())
    for path, size in files.items():
        sizes[path.parts[0]] += size
    if sizes.total() > LIMIT_BYTES:
        largest = ", ".join(f"{name} {mib(size)}" for name, size in sizes.most_common(5))
        raise SubmitError(
            f"{folder.resolve()} is too large to send: {mib(sizes.total())}, at most {mib(LIMIT_BYTES)}; "
            f"largest: {largest}; list in .rayignore what the job does not need"
        )
    return len(files), sizes.total()


def mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def entrypoint(arguments: Sequence[str], working_dir: Path) -> str:
    """The command line of the job: ``assay`` with these arguments. Files are named as seen from the working folder.

    Raises:
        SubmitError: if a file that is named does not travel.
    """
    words = [_as_seen_there(word, working_dir.resolve()) for word in arguments]
    return f"{ASSAY} {shlex.join(words)}"


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


def entrypoint_with_text(sweep: str, arguments: Sequence[str]) -> str:
    """The command line of a job in an image, into which Ray brings no files: the text of the sweep is in it.

    Raises:
        SubmitError: if the text is too long for a command line.
    """
    text = base64.b64encode(sweep.encode()).decode()
    if len(text) > LONGEST_TEXT:
        raise SubmitError(f"the sweep is too long for --image: {len(text):,} characters, at most {LONGEST_TEXT:,}")
    command = f"{ASSAY} {shlex.join(['run', 'sweep.yaml', *arguments])}"
    return f'cd "$(mktemp -d)" && echo {text} | base64 -d > sweep.yaml && {command}'

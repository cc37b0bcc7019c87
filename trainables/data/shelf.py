"""Data sets that are slow to read, kept on the disk of this machine as arrays: read once, not by every process.

They lie in the user's cache, in ``$XDG_CACHE_HOME/assay/data`` or ``~/.cache/assay/data``, named by what was read, how,
and by which code. Processes map them into memory, so that they share that, too. Who comes first reads, the others wait;
what a reader that is killed leaves is never seen. Copies that nobody uses make room for others, those first that
were not used for longest. They may be removed at any time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from trainables.artifacts import SPEC, artifact
from trainables.data import Examples, Slow
from trainables.nearby import cache

_ARRAY = "{}.npy"
_ABOUT = "about.json"


def shared(config: Slow) -> Examples:
    """The examples of ``config`` from the copy of this machine, which is made if there is none.

    Where no copy can be kept (a full or a read-only disk), each process reads for itself.
    """
    load, shelf = functools.cache(config.load), cache().with_name("data")
    spec = _spec(config)
    with contextlib.suppress(OSError):
        for _ in range(2):  # a copy that is damaged, or was just removed, is made anew
            folder = artifact(shelf, spec, lambda draft: _write(draft, load()))
            if found := _read(folder):
                return found
            _remove(folder)
    return load()


def _spec(config: Slow) -> Mapping[str, Any]:
    """All that decides what is read."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    return {
        "data": type(config).__module__,
        "config": asdict(config),  # pyright: ignore[reportArgumentType] - a component is a dataclass
        "version": config.version(),
        "code": code.hexdigest(),
        "packages": {name: _version(name) for name in ("numpy", "pillow", "datasets")},
    }


def _version(package: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(package)
    return ""


def _write(draft: Path, examples: Examples) -> None:
    arrays = {"inputs": examples.inputs, "labels": examples.labels}
    arrays |= {f"given-{name}": rows for name, rows in examples.given.items()}
    _make_room(draft, sum(array.nbytes for array in arrays.values()))
    for name, array in arrays.items():
        np.save(draft / _ARRAY.format(name), array, allow_pickle=False)
    about = {"classes": examples.classes, "given": [*examples.given], "digest": examples.digest}
    (draft / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _read(folder: Path) -> Examples | None:
    """What lies there, which is not removed while it is in use; None if it is not what was written."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        file = stack.enter_context((folder / SPEC).open())
        fcntl.flock(file, fcntl.LOCK_SH)
        os.utime(folder)  # the time of its last use
        if found := _examples(folder):
            weakref.finalize(found, stack.pop_all().close)
            return found
    return None


def _examples(folder: Path) -> Examples | None:
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    inputs = np.asarray(np.load(folder / _ARRAY.format("inputs"), mmap_mode="r", allow_pickle=False))
    given = {name: _array(folder, f"given-{name}") for name in about["given"]}
    found = Examples(inputs, _array(folder, "labels"), tuple(about["classes"]), given)
    return found if found.digest == about["digest"] else None


def _array(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / _ARRAY.format(name), allow_pickle=False)


# --- room ------------------------------------------------------------------------------------------------------------


def _make_room(draft: Path, num_bytes: int) -> None:
    """Remove copies until the rest and one of so many bytes take at most half of what would be free without them.

    Raises OSError if those that are in use leave too little.
    """
    shelf = draft.parent
    _clear_drafts(shelf, draft)
    copies = sorted((spec.parent for spec in shelf.glob(f"[!.]*/{SPEC}")), key=lambda copy: copy.stat().st_mtime)
    sizes = [sum(file.stat().st_size for file in copy.iterdir()) for copy in copies]
    room = (shutil.disk_usage(shelf).free - sum(sizes)) / 2 - num_bytes
    for copy, size in zip(copies, sizes, strict=True):
        if room < 0 and _is_free(copy):
            _remove(copy)
            room += size
    if room < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(shelf))


def _clear_drafts(shelf: Path, mine: Path) -> None:
    """Remove those of readers that were killed. One that is at work holds its lock."""
    for draft in set(shelf.glob(".*.building")) - {mine}:
        with contextlib.suppress(Timeout), FileLock(draft.with_suffix(".lock"), timeout=0):
            shutil.rmtree(draft, ignore_errors=True)


def _is_free(copy: Path) -> bool:
    """Whether no process uses it, on this machine or on another one that shares the cache."""
    with contextlib.suppress(OSError), (copy / SPEC).open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove(copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    copy.with_name(f".{copy.name}.digest").unlink(missing_ok=True)

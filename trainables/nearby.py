"""Copies of shared folders on the disk of this machine, made once per machine and not once per trial.

They lie in the user's cache, named by what is in them: ``$XDG_CACHE_HOME/assay/near``, or ``~/.cache/assay/near``.
Where the cache is on the same file system as the folder, a copy would be no nearer, and there is none. Copies may be
removed at any time when no trial runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from trainables.artifacts import SPEC, ArtifactError, artifact, content_digest


def nearby(folder: Path, digest: str) -> Path:
    """A copy of ``folder`` on this machine, or itself if that is as near, or if there is no room for a copy.

    ``digest``: that of its content; a copy that turns out different raises ArtifactError.
    """
    shelf = cache()
    with contextlib.suppress(OSError):
        shelf.mkdir(parents=True, exist_ok=True)
        if shelf.stat().st_dev != folder.stat().st_dev:
            return artifact(shelf, {"content": digest}, lambda draft: _copy(folder, draft, digest))
    return folder


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay" / "near"


def _copy(folder: Path, draft: Path, digest: str) -> None:
    shutil.copytree(folder, draft, dirs_exist_ok=True, ignore=lambda where, _: [SPEC] if Path(where) == folder else [])
    if content_digest(draft) != digest:
        raise ArtifactError(f"{folder}: its content is not what it was when it was made")

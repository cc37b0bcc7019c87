"""Folders that several trials share, each built exactly once: pre-trained models, shadow models, crafted poisons."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

SPEC = "spec.json"
_PIECE_BYTES = 1 << 20


class ArtifactError(Exception):
    """An artifact that cannot be named or built; one line."""


def artifact(store: Path, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder of ``spec`` in ``store``; if there is none, ``build(folder)`` fills it.

    Whoever comes first builds, the others wait. The kernel takes the lock from a builder that is killed, and the next
    in line starts afresh. The folder gets its name when it is complete, so a torn one is never seen.
    """
    text = _canonical(spec)
    key = hashlib.sha256(text.encode()).hexdigest()
    final = store / key
    if final.is_dir():
        return final
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / f".{key}.lock"):
        if not final.is_dir():
            _build(store / f".{key}.building", final, text, build)
    return final


def _build(draft: Path, final: Path, text: str, build: Callable[[Path], None]) -> None:
    shutil.rmtree(draft, ignore_errors=True)  # of a builder that was killed
    draft.mkdir()
    try:
        build(draft)
        if (draft / SPEC).exists():
            raise ArtifactError(f"the builder wrote {SPEC}, the file that describes the artifact; take another name")
        (draft / SPEC).write_text(text, encoding="utf-8")
        _digest_file(final).write_text(content_digest(draft), encoding="utf-8")
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def digest(folder: Path) -> str:
    """That of the content of an artifact as it was built."""
    with contextlib.suppress(OSError):
        return _digest_file(folder).read_text(encoding="utf-8")
    return content_digest(folder)  # of a store that is older than digests


def _digest_file(final: Path) -> Path:
    return final.with_name(f".{final.name}.digest")


def content_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of all files below, without the description of an artifact."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SPEC):
        whole.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                whole.update(piece)
    return whole.hexdigest()


def _canonical(spec: Mapping[str, Any]) -> str:
    try:
        return json.dumps(spec, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"the spec of an artifact has to be JSON: {error}") from None

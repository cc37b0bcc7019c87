"""Saves and loads the state of a trial so that neither a kill nor a full disk leaves an unusable one behind.

Layout: ``<folder>/checkpoint-<step>.pt``, which torch loads without pickle, and beside each ``checkpoint-<step>.json``:
its size, its SHA-256, and the value by which the best ones are kept. A state without that file is held against the
checksums inside it, so that there is no moment at which a state that was there cannot be used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from trainables.api import State
from trainables.keeping import LAST_TWO, Keep, Stored, obsolete

_NAME = re.compile(r"checkpoint-(\d+)\.pt")
_SHORTEST_S = 1.0  # between two saves
_COST_RATIO = 10  # saving takes at most a tenth of the run time
_ABANDONED_S = 600.0  # since the last write to a draft; its process was killed


class CheckpointError(Exception):
    """A state that cannot be saved; one line."""


@dataclass(frozen=True)
class Saved:
    step: int
    state: State


@dataclass(frozen=True)
class Found:
    """What there is to go on from, and the newer states that cannot be used: file -> why."""

    saved: Saved | None = None
    damaged: Mapping[str, str] = field(default_factory=dict)


# --- saving ----------------------------------------------------------------------------------------------------------


def save(folder: Path, step: int, state: State, keep: Keep | None = LAST_TWO, value: float | None = None) -> Path:
    """Write the state as of ``step``, then remove what the rule lets go; nothing if ``keep`` is None.

    ``value``: of the metric of the rule, at this step. Raises CheckpointError for what needs pickle, OSError if the
    disk refuses.
    """
    content = plain(state)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint-{step}.pt"
    with _draft(path) as draft:
        about = {**_write(draft, content), "step": step, "value": value}
        if path.exists():  # the digest of the old file goes before it, that of the new one comes after it
            _facts_of(path).unlink(missing_ok=True)
        draft.replace(path)
    with _draft(_facts_of(path)) as draft:
        draft.write_text(json.dumps(about) + "\n", encoding="utf-8")
        draft.replace(_facts_of(path))
    _sync_folder(folder)
    if keep:
        tidy(folder, keep, running=True)
    return path


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
    except BaseException:
        draft.unlink(missing_ok=True)  # a full disk had better get it back
        raise


def _write(path: Path, content: Any) -> dict[str, Any]:
    """Write the state; its size and digest."""
    import torch

    with path.open("wb") as file:
        hashed: Any = _Hashed(file)
        torch.save(content, hashed)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": hashed.size, "sha256": hashed.digest.hexdigest()}


class _Hashed:
    """A file that is written from front to back, as torch does, and digested on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += (written := self._file.write(data))
        return written

    def flush(self) -> None:
        self._file.flush()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- loading ---------------------------------------------------------------------------------------------------------


def load(folder: Path) -> Saved | None:
    """The newest state that can be read, or None."""
    return find(folder).saved


def find(folder: Path) -> Found:
    """The newest state that can be read, and what is wrong with those that are newer."""
    damaged: dict[str, str] = {}
    for step, path in _files(folder):
        try:
            return Found(Saved(step, _read(path)), damaged)
        except FileNotFoundError:  # removed in the meantime
            continue
        except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
            damaged[path.name] = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return Found(None, damaged)


def load_file(step: int, path: str) -> Saved | None:
    """The state as of ``step`` in this file, or None if there is none that can be read."""
    if path:
        with contextlib.suppress(Exception):
            return Saved(step, _read(Path(path)))
    return None


def _read(path: Path) -> State:
    import torch

    if expected := _facts(path).get("sha256"):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise OSError("its bytes are not those that were saved")
    with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
        if not expected and archive.testzip() is not None:
            raise OSError("its checksums do not hold")
    return torch.load(path, map_location="cpu", weights_only=True)


def _facts_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _facts(path: Path) -> dict[str, Any]:
    """What was written down about a state; empty if nothing was, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(_facts_of(path).read_bytes())
        return facts if isinstance(facts, dict) else {}
    return {}


# --- what is kept ----------------------------------------------------------------------------------------------------


def tidy(folder: Path, keep: Keep, *, running: bool) -> None:
    """Remove the states that the rule lets go, and the drafts of processes that were killed."""
    files = dict(_files(folder))
    known = [Stored(step, _value(path) if keep.best else None) for step, path in files.items()]
    for step in obsolete(known, keep, running=running):
        remove(files[step])
    for draft in folder.glob(".checkpoint-*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if not running or time.time() - draft.stat().st_mtime > _ABANDONED_S:
                draft.unlink()


def remove(path: Path) -> None:
    """Remove a state and what was written down about it; in this order, for the latter is nothing by itself."""
    path.unlink(missing_ok=True)
    _facts_of(path).unlink(missing_ok=True)


def _value(path: Path) -> float | None:
    value = _facts(path).get("value")
    return float(value) if isinstance(value, int | float) else None


def _files(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of every checkpoint, newest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.pt"))
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


# --- states ----------------------------------------------------------------------------------------------------------


def plain(value: Any, where: str = "state") -> Any:
    """A copy of tensors, numbers, text, lists and mappings that loads without pickle. Raises CheckpointError."""
    torch = sys.modules.get("torch")
    if torch and isinstance(value, torch.Tensor):
        return value.detach()
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a numpy number
        value = value.item()
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    raise CheckpointError(f"{where}: got a {_kind(value)}, expected tensors, numbers, text, and lists or dicts of them")


def _key(key: Any, where: str) -> Any:
    if type(key) in (bool, int, float, str):
        return key
    raise CheckpointError(f"{where}: got a key of type {_kind(key)}, expected text or a number")


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


class Pace:
    """When to save: whenever saving takes at most a tenth of the time, and no more often than once in a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last, self._cost_s = clock(), 0.0

    @property
    def due(self) -> bool:
        return self._clock() - self._last >= max(_SHORTEST_S, _COST_RATIO * self._cost_s)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """What is done in here is the cost of saving."""
        import torch  # noqa: F401 - now, because the time that this takes is no cost of saving

        began = self._clock()
        yield
        self._last = self._clock()
        self._cost_s = self._last - began

"""Saves and loads the state of a trial so that neither a kill nor a full disk leaves a torn checkpoint behind.

Layout: ``<folder>/checkpoint-<step>.pt``, the last two of them. Loading needs no pickle.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.api import State

KEEP = 2
_NAME = re.compile(r"checkpoint-(\d+)\.pt")
_SHORTEST_S = 1.0  # between two saves
_COST_RATIO = 10  # saving takes at most a tenth of the run time


class CheckpointError(Exception):
    """A state that cannot be saved; one line."""


@dataclass(frozen=True)
class Saved:
    step: int
    state: State


def save(folder: Path, step: int, state: State, keep: int | None = KEEP) -> Path:
    """Write the state as of ``step`` and keep the newest; all of them if ``keep`` is None.

    Raises CheckpointError for what needs pickle, OSError if the disk refuses.
    """
    import torch

    content = plain(state)
    folder.mkdir(parents=True, exist_ok=True)
    path, draft = folder / f"checkpoint-{step}.pt", folder / f".checkpoint-{step}.{os.getpid()}.tmp"
    with draft.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(folder)
    _remove_older(folder, keep)
    return path


def load(folder: Path) -> Saved | None:
    """The newest state that can be read, or None."""
    for step, path in _files(folder):
        with contextlib.suppress(Exception):  # a damaged file raises whatever its bytes lead to
            return Saved(step, _read(path))
    return None


def load_file(step: int, path: str) -> Saved | None:
    """The state as of ``step`` in this file, or None if there is none that can be read."""
    if path:
        with contextlib.suppress(Exception):
            return Saved(step, _read(Path(path)))
    return None


def _read(path: Path) -> State:
    import torch

    with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
        if archive.testzip() is not None:
            raise OSError(f"{path}: damaged")
    return torch.load(path, map_location="cpu", weights_only=True)


def _files(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of every checkpoint, newest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.pt"))
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def _remove_older(folder: Path, keep: int | None) -> None:
    for _, path in _files(folder)[keep:] if keep else ():
        path.unlink()
    for draft in folder.glob(".checkpoint-*.tmp"):  # of a process that was killed
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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

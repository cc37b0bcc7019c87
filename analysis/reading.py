"""Runs from wherever they are: folders, patterns, object stores, several machines."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import frames
from analysis.frames import Run
from analysis.merging import merged
from analysis.parts import span, unpack
from analysis.records import CODE, DECISIONS, ENVIRONMENT, LOCK_FILE, LedgerError
from analysis.stores import open_store, plain_errors, read_parts

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Where = str | Path | Iterable[str | Path]


def load(where: Where) -> Run:
    """The frames of one run, or of several that are parts of one sweep: they are merged as sets, by trial id.

    Args:
        where: a run folder; a folder of runs, for the latest of them; a pattern such as ``runs/quickstart/*``, for
            all that match; any of these on a store that fsspec knows, such as ``s3://bucket/runs/quickstart``; or
            a list of such.

    Raises:
        LedgerError: there is no run, a ledger is damaged, or the runs are of different sweeps or different code.
    """
    return merged(load_each(where))


def load_each(where: Where) -> dict[str, Run]:
    """Each run by itself, by the shortest ends of their paths that tell them apart."""
    places = [where] if isinstance(where, str | Path) else list(where)
    found = {name: run for place in places for name, run in _each(str(place))}
    return dict(zip(_short(list(found)), found.values(), strict=True))


def _each(place: str) -> Iterator[tuple[str, Run]]:
    if "://" in place:
        yield from _remote(place)
        return
    for folder in _folders(place):
        yield str(folder), frames.load(folder)


def _folders(place: str) -> list[Path]:
    """The run folders that a local place means."""
    if glob.has_magic(place) and not Path(place).exists():
        matching = [Path(path) for path in sorted(glob.glob(place, recursive=True))]  # noqa: PTH207 - from any root
        if not (runs := [path for path in matching if _is_run(path)]):
            raise LedgerError(f"{place}: no run folder matches")
        return runs
    folder = Path(place)
    inside = (lock.parent for lock in folder.glob(f"*/{LOCK_FILE}"))
    latest = None if _is_run(folder) else max(inside, default=None)
    if not folder.is_dir():
        raise LedgerError(f"{place}: no such folder")
    return [latest or folder]


def _is_run(path: Path) -> bool:
    return (path / LOCK_FILE).exists() or (path / DECISIONS).exists()


# --- stores ----------------------------------------------------------------------------------------------------------


def _remote(place: str) -> Iterator[tuple[str, Run]]:
    with plain_errors(place):
        store, path = open_store(place)
        folders = _remote_folders(store, path)
    if not folders:
        raise LedgerError(f"{place}: no run folder there")
    for folder in folders:
        url = str(store.unstrip_protocol(folder))
        with _copied(store, folder, url) as copy:
            yield url, replace(frames.load(copy), path=Path(url))


def _remote_folders(store: AbstractFileSystem, path: str) -> list[str]:
    if glob.has_magic(path):
        return [one for one in sorted(map(str, store.glob(path.rstrip("/")))) if _is_remote_run(store, one)]
    if _is_remote_run(store, path):
        return [path.rstrip("/")]
    inside = [one for one in sorted(map(str, store.ls(path, detail=False))) if _is_remote_run(store, one.rstrip("/"))]
    return inside[-1:]


def _is_remote_run(store: AbstractFileSystem, folder: str) -> bool:
    return any(store.exists(f"{folder.rstrip('/')}/{name}") for name in (LOCK_FILE, DECISIONS))


@contextmanager
def _copied(store: AbstractFileSystem, folder: str, url: str) -> Iterator[Path]:
    """What a reader needs of a run, in a local folder for a while; errors still name the store."""
    with tempfile.TemporaryDirectory(prefix="assay-") as scratch:
        copy = Path(scratch)
        with plain_errors(url):
            _copy(store, folder, copy)
        try:
            yield copy
        except LedgerError as error:
            raise LedgerError(str(error).replace(str(copy), url)) from None


def _copy(store: AbstractFileSystem, folder: str, copy: Path) -> None:
    for name in (LOCK_FILE, ENVIRONMENT):
        if store.exists(f"{folder}/{name}"):
            store.get_file(f"{folder}/{name}", str(copy / name))
    _copy_parts(store, folder, copy)
    for part, files in (("ledger", _ledger_files(store, folder)), (CODE, store.glob(f"{folder}/{CODE}/*"))):
        (copy / part).mkdir(exist_ok=True)
        for file in map(str, files):
            _get(store, file, copy / part / file.rpartition("/")[2])


def _copy_parts(store: AbstractFileSystem, folder: str, copy: Path) -> None:
    found, last = read_parts(store, folder)
    if last:
        unpack(found, copy)


def _ledger_files(store: AbstractFileSystem, folder: str) -> list[str]:
    """The segments come first: rows may be moving from them to the Parquet file just now."""
    names = map(str, store.glob(f"{folder}/ledger/*"))
    wanted = (n for n in names if n.endswith((".jsonl", ".parquet")) and not span(n)[0])
    return sorted(wanted, key=lambda n: (n.endswith(".parquet"), n))


def _get(store: AbstractFileSystem, file: str, target: Path) -> None:
    try:
        store.get_file(file, str(target))
    except FileNotFoundError:  # a segment that was moved to the Parquet file in the meantime
        target.unlink(missing_ok=True)


def _short(names: list[str]) -> list[str]:
    """``runs/a/1`` and ``runs/b/1`` as ``a/1`` and ``b/1``; at least the last two parts, as `assay runs` has them."""
    parts = [name.rstrip("/").split("/") for name in names]
    for length in range(2, max(map(len, parts), default=0) + 1):
        short = ["/".join(one[-length:]) for one in parts]
        if len(set(short)) == len(short):
            return short
    return names

"""Brings what matters of a run home through the log of a Ray job, where ``assay pack RUN`` prints it, packed.

From a laptop often nothing but the dashboard's port of a cluster can be reached, so there is no other way for files.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

WANTED = ("sweep.lock.yaml", "environment.json", "report", "ledger", "code")
DECISIONS = "ledger/decisions.jsonl"
LIMIT_BYTES = 256 * 1024**2  # of all files together, before they are packed
LIMIT_FILES = 10_000
_MARK, _CHUNK_BYTES = "assay-pack ", 3000
_LINE = re.compile(rf"^{_MARK}(data|sha256) (\S+)\s*$", re.MULTILINE)


class PackError(Exception):
    """A run that cannot be packed, or a pack that cannot be trusted; one line."""


def pack(run: Path) -> bytes:
    """The wanted files of a run as a compressed tar file."""
    if not (run / WANTED[0]).is_file():
        raise PackError(f"{run}: no run folder here")
    files = [path for name in WANTED for path in _regular(run / name)]
    if (size := sum(path.stat().st_size for path in files)) > LIMIT_BYTES:
        raise PackError(f"{run}: its report and ledger are {size:,} bytes, at most {LIMIT_BYTES:,} can be sent home")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in files:
            with contextlib.suppress(FileNotFoundError):  # the run may go on, and put one file in the place of others
                data = path.read_bytes()
                member = tarfile.TarInfo(path.relative_to(run).as_posix())
                member.size, member.mtime = len(data), int(path.stat().st_mtime)
                archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _regular(path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and not file.is_symlink()]


def to_lines(data: bytes) -> Iterator[str]:
    """``data`` as lines that can be told from others in a log, the last one with its digest."""
    for start in range(0, len(data), _CHUNK_BYTES):
        yield f"{_MARK}data {base64.b64encode(data[start : start + _CHUNK_BYTES]).decode()}"
    yield f"{_MARK}sha256 {hashlib.sha256(data).hexdigest()}"


def from_log(log: str) -> bytes:
    """Find the data of ``to_lines`` among the other lines of a log. Raises PackError if it is not whole."""
    found = _LINE.findall(log)
    try:
        data = b"".join(base64.b64decode(text, validate=True) for kind, text in found if kind == "data")
    except ValueError:
        raise PackError("the packed run is damaged: not base64") from None
    digests = [text for kind, text in found if kind == "sha256"]
    if digests != [hashlib.sha256(data).hexdigest()]:
        raise PackError("the packed run is damaged or was cut off: its digest does not match")
    return data


def unpack(data: bytes, target: Path) -> list[Path]:
    """Write the files into ``target``, each as a whole or not at all. Nothing is written if the pack is not clean.

    Raises:
        PackError: for anything but regular files of reasonable size at the places that ``pack`` uses, and if the
            ledger in ``target`` has gone on by itself, for then its decisions would be lost.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            members = list(_checked(archive, target))
            _check_follows(archive, target)
            return [_write(archive, member, path) for member, path in members]
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise PackError(f"the packed run cannot be read: {error}") from None


def _checked(archive: tarfile.TarFile, target: Path) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    size = 0
    for number, member in enumerate(archive, start=1):  # one header after the other, so that a bomb is seen early
        name, size = PurePosixPath(member.name), size + max(0, member.size)
        if number > LIMIT_FILES or size > LIMIT_BYTES:
            raise PackError(f"the packed run is too large: more than {LIMIT_FILES:,} files or {LIMIT_BYTES:,} bytes")
        if not member.isreg():
            raise PackError(f"the packed run holds {member.name!r}, which is not a regular file")
        inside = not name.is_absolute() and not {"..", ""} & set(name.parts) and name.parts[:1] != ()
        path = target / name
        if not inside or name.parts[0] not in WANTED or "\\" in member.name or "\0" in member.name:
            raise PackError(f"the packed run holds {member.name!r}, which does not belong into a run")
        if not path.resolve().is_relative_to(target.resolve()):
            raise PackError(f"{path}: a link leads out of the run folder")
        yield member, path


def _check_follows(archive: tarfile.TarFile, target: Path) -> None:
    path = target / DECISIONS
    if not path.exists() or DECISIONS not in archive.getnames():
        return
    new, old = archive.extractfile(DECISIONS), path.read_bytes()
    assert new is not None, "only regular files come here"
    if not new.read().startswith(old[: old.rfind(b"\n") + 1]):
        raise PackError(f"{target} has gone on by itself; bring the run home to another place with --runs DIR")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Path:
    source = archive.extractfile(member)
    assert source is not None, "only regular files come here"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(source.read())
    Path(file.name).chmod(0o644)
    return Path(file.name).replace(path)

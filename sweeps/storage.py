"""Runs on a store such as s3://bucket/runs: each has a working folder on this machine, and only the driver knows.

The working folder of ``s3://bucket/runs/bowl/1`` is ``$ASSAY_WORK/s3/bucket/runs/bowl/1`` (``~/.cache/assay`` by
default): an ordinary run folder, which ``shipping`` keeps in step with the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from analysis.parts import STORED_REPORTS, unpack
from analysis.records import DECISIONS, LOCK_FILE, SEGMENTS
from analysis.stores import checked, open_store, plain_errors, read_parts
from sweeps import lease
from sweeps.lease import RunError
from trainables.artifacts import SPEC

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

STATE = "ledger/.stored.json"
_ALWAYS = ("sweep.lock", "environment.json", "code/", "ledger/reports.parquet")
_TO_RESUME = ("trials/", "milestones/", "artifacts/")


def work() -> Path:
    """Where working folders are."""
    chosen = os.environ.get("ASSAY_WORK")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "assay").absolute()


def folder_of(text: str) -> Path:
    """The folder that a place means: itself, or its working folder if it is on a store."""
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    return working_folder(text) if "://" in text else Path(text)


def working_folder(url: str) -> Path:
    """Raises LedgerError for a URL that holds credentials, RunError for one that leads out of the folder."""
    protocol, _, rest = checked(url).partition("://")
    parts = rest.split("/")
    if not all(parts) or any(part in (".", "..") or "\\" in part for part in parts):
        raise RunError(f"{url}: got a place with empty or relative parts, expected one such as s3://bucket/runs")
    return work().joinpath(protocol, *parts)


def url_of(path: Path) -> str | None:
    """The place on a store whose working folder this is; None for an ordinary folder."""
    with contextlib.suppress(ValueError):
        protocol, *rest = path.absolute().relative_to(work()).parts
        return f"{protocol}://{'/'.join(rest)}" if rest else None
    return None


@dataclass
class Stored:
    """What of a working folder is on the store: so many parts, so many bytes of each growing file, and whole files."""

    last: int = 0  # the number of the last part
    decisions: int = 0
    segments: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)  # size and time, by path in the run

    def write(self, run: Path) -> None:
        draft = run / f"{STATE}.tmp"
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(run / STATE)

    @classmethod
    def read(cls, run: Path) -> Stored:
        try:
            return cls(**json.loads((run / STATE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()


def signature(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


class Home:
    """Where a run is on its store."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store, self.path = open_store(url)

    def doing(self, what: str) -> contextlib.AbstractContextManager[None]:
        return plain_errors(self.url, what)

    def files(self) -> dict[str, str]:
        """Every object of the run: path in the run -> path in the store."""
        found = map(str, self.store.find(self.path))
        return {name.removeprefix(self.path).lstrip("/"): name for name in found}

    def create(self, name: str, data: bytes) -> bool:
        """False if it is there. Stores that know no such condition are asked before."""
        target = f"{self.path}/{name}"
        if self.store.exists(target):
            return False
        try:
            self.store.pipe_file(target, data, mode="create")
        except FileExistsError:
            return False
        except NotImplementedError:
            self.store.pipe_file(target, data)
        except Exception as error:
            if _is_refused(error):
                return False
            raise
        return True


def _is_refused(error: BaseException | None) -> bool:
    """Whether a store says that the object is there already, in its own words."""
    while error:
        if any(word in f"{type(error).__name__} {error}" for word in ("PreconditionFailed", "pre-condition", "412")):
            return True
        error = error.__cause__
    return False


class Leases:
    """The leases of a run on a store."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def _at(self, name: str) -> str:
        return f"{self._home.path}/ledger/{name}"

    def names(self) -> list[str]:
        found = map(str, self._home.store.glob(self._at("driver-*.json")))
        return [name.rpartition("/")[2] for name in found]

    def exists(self, name: str) -> bool:
        return bool(self._home.store.exists(self._at(name)))

    def read(self, name: str) -> str:
        return bytes(self._home.store.cat_file(self._at(name))).decode()  # pyright: ignore[reportArgumentType]

    def create(self, name: str, text: str) -> bool:
        return self._home.create(f"ledger/{name}", text.encode())

    def replace(self, name: str, text: str) -> None:
        self._home.store.pipe_file(self._at(name), text.encode())

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._home.store.rm_file(self._at(name))

    def age_s(self, name: str) -> float:
        probe = self._at(f".clock-{uuid.uuid4().hex}")
        self._home.store.pipe_file(probe, b"-")
        now = self._home.store.modified(probe)
        self._home.store.rm_file(probe)
        return (now - self._home.store.modified(self._at(name))).total_seconds()


# --- bringing down ---------------------------------------------------------------------------------------------------


def look(folder: Path) -> None:
    """Bring down what there is to see of the run that has this working folder, or of the latest of those in it."""
    if (url := url_of(folder)) and not _is_driven_here(folder):
        with plain_errors(url):
            store, path = open_store(url)
            inside = [] if store.exists(f"{path}/{LOCK_FILE}") else store.glob(f"{path}/*/{LOCK_FILE}")
            latest = max((str(lock).split("/")[-2] for lock in inside), default=None)
        bring(folder / latest if latest else folder, to_resume=False)


def look_at_all(root: Path) -> None:
    """Bring down what there is to see of all runs under a folder of sweeps."""
    if url := url_of(root):
        with plain_errors(url):
            store, path = open_store(url)
            locks = [str(lock).split("/")[-3:-1] for lock in store.glob(f"{path}/*/*/{LOCK_FILE}")]
        for sweep, run in locks:
            bring(root / sweep / run, to_resume=False)


def bring(run: Path, *, to_resume: bool) -> None:
    """Bring the working folder of a run up to what is on the store, unless it has all of that and perhaps more.

    ``to_resume``: also what trials go on from. A folder whose driver lives on this machine is ahead, and left alone.
    """
    url = url_of(run)
    assert url, "an ordinary folder"
    if _is_driven_here(run):
        return
    home = Home(url)
    with home.doing("cannot be read"):
        files = home.files()
        if LOCK_FILE not in files:
            return
        for folder in (run, work() / ".locks"):
            folder.mkdir(parents=True, exist_ok=True)
        with FileLock(work() / ".locks" / f"{run.parent.name}-{run.name}.lock"):
            _bring_down(run, home, files, to_resume=to_resume)


def _is_driven_here(run: Path) -> bool:
    holder = lease.highest(lease.Folder(run / "ledger"))
    return bool(holder and not holder.released and holder.lives_here)


def _bring_down(run: Path, home: Home, files: Mapping[str, str], *, to_resume: bool) -> None:
    known = Stored.read(run)
    ledger, last = read_parts(home.store, home.path)
    if known.last != last or not (run / LOCK_FILE).exists():
        known = Stored(last=last)
        for place in ("ledger", "code", *_TO_RESUME):
            shutil.rmtree(run / place, ignore_errors=True)
        for lock in run.glob("sweep.lock*.yaml"):
            lock.unlink()
        unpack(ledger, run)
        known.decisions = (run / DECISIONS).stat().st_size
        known.segments = {Path(STORED_REPORTS).name: (run / STORED_REPORTS).stat().st_size}
    wanted = (*_ALWAYS, *_TO_RESUME) if to_resume else _ALWAYS
    for name, source in files.items():
        if name.startswith(wanted) and _is_whole(name, files) and name not in known.files and not (run / name).exists():
            _get(home.store, source, run / name)
            known.files[name] = signature(run / name)
    _show_holder(run, home, to_resume=to_resume)
    known.write(run)


def _is_whole(name: str, files: Mapping[str, str]) -> bool:
    """Whether all of an artifact is there: the file that describes it is stored last."""
    place, _, rest = name.partition("/")
    return place != "artifacts" or f"artifacts/{rest.partition('/')[0]}/{SPEC}" in files


def _show_holder(run: Path, home: Home, *, to_resume: bool) -> None:
    """Who holds it there, for those who only look; for who holds it now, nobody else does."""
    here = lease.Folder(run / "ledger")
    for name in here.names():
        here.remove(name)
    leases = Leases(home)
    if not to_resume and (name := max(leases.names(), default="")):
        here.replace(name, leases.read(name))
        at = home.store.modified(f"{home.path}/ledger/{name}").timestamp()
        os.utime(run / "ledger" / name, (at, at))


def _get(store: AbstractFileSystem, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.tmp")
    store.get_file(source, str(draft))
    draft.replace(target)


def bring_boards(run: Path) -> None:
    """Bring down the TensorBoard files of a run on a store."""
    if url := url_of(run):
        home = Home(url)
        with home.doing("cannot be read"):
            for name, source in home.files().items():
                if name.startswith("tensorboard/"):
                    _get(home.store, source, run / name)


def grown(run: Path) -> dict[str, int]:
    """The size of each file of reports that processes append to."""
    found: dict[str, int] = {}
    for path in run.glob(SEGMENTS):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.stat().st_size
    return found


def whole_files(run: Path, folders: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Every file that is written once, or as a whole, with its path in the run."""
    places: list[Path] = [*run.glob("sweep.lock*.yaml"), run / "environment.json", run / "ledger" / "reports.parquet"]
    for one in folders:
        places += sorted((run / one).rglob("*"), key=lambda path: path.name == SPEC)
    for path in places:
        name = path.relative_to(run)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path

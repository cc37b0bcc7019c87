"""Who drives a run: numbered lease files, of which the highest counts and no number is ever taken twice.

A lease names its holder; a thread of the holder renews it every few seconds. A lock of the kernel would say less: it
does not reach other machines on every shared file system, and there is none on an object store.

* A holder on this machine is alive if its process is, stopped ones included, and dead otherwise; no flag is needed to
  follow a dead one.
* A holder elsewhere is taken for dead only if its lease was not renewed for a minute, by the clock of the storage, and
  only if the user says so (``--takeover``).
* One that comes back finds that its number is no longer the highest, and stops: before each write, and when it renews.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Protocol

from analysis.records import LedgerError

BEAT_S = 5.0  # between two renewals
MISSED = 12  # renewals after which a holder elsewhere is taken for dead
_NAME = re.compile(r"driver-(\d{6})\.json")

Say = Callable[[str], None]


class RunError(LedgerError):
    """A run folder that cannot be used; one line."""


class Shelf(Protocol):
    """Where leases lie."""

    def names(self) -> list[str]: ...

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> str: ...

    def create(self, name: str, text: str) -> bool:
        """Write a file that is not there yet; False if it is. Of several that try at once only one succeeds."""
        ...

    def replace(self, name: str, text: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def age_s(self, name: str) -> float:
        """Seconds since it was written, by the clock of the storage: those of machines differ and jump."""
        ...


@dataclass(frozen=True)
class Holder:
    """A process that drives a run, or has driven it."""

    number: int
    host: str
    pid: int
    user: str
    since: float  # seconds since 1970
    machine: str  # what a process id belongs to
    born: str  # tells a process from a later one of the same id
    beat_s: float
    renewed: int = 0  # times
    released: bool = False

    @property
    def name(self) -> str:
        return f"driver-{self.number:06d}.json"

    @property
    def text(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since).astimezone()
        return f"process {self.pid} on {self.host}, of user {self.user}, since {since:%Y-%m-%d %H:%M:%S}"

    @property
    def is_here(self) -> bool:
        return self.machine == machine()

    @property
    def lives_here(self) -> bool:
        return self.is_here and bool(self.born) and born(self.pid) == self.born

    @property
    def patience_s(self) -> float:
        return MISSED * self.beat_s


def myself(number: int) -> Holder:
    pid = os.getpid()
    return Holder(number, socket.gethostname(), pid, _user(), time.time(), machine(), born(pid), BEAT_S)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return str(os.getuid())


@cache
def machine() -> str:
    """Names this boot of this machine and, in containers, the namespace of its process ids."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it is no path
    return socket.gethostname()


def born(pid: int) -> str:
    """When the process was started, in whatever unit the system has; empty if there is none."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


class Lease:
    """The right to drive the run at ``place``, which messages name."""

    def __init__(self, shelf: Shelf, place: str, *, takeover: bool = False, say: Say = lambda _: None) -> None:
        self._shelf, self._place, self._takeover, self._say = shelf, place, takeover, say
        self._me = myself(0)
        self._over = threading.Event()
        self.lost, self._why = False, ""
        self.on_lost: Callable[[], None] = lambda: None
        self.followed_a_stranger = False  # who may still be alive, and write

    @contextlib.contextmanager
    def held(self) -> Iterator[Lease]:
        """Raises RunError, which names the holder, if another process may be alive that has it."""
        self._take()
        beating = threading.Thread(target=self._beat, name="assay-lease", daemon=True)
        beating.start()
        try:
            yield self
        finally:
            self._over.set()
            beating.join()
            self._release()

    def check(self) -> None:
        """Raises RunError if another process has taken over."""
        if not self.lost and self._is_mine():
            return
        self.lost = True
        if self._why:
            raise RunError(self._why)
        taker = highest(self._shelf)
        who = f"{taker}, has" if taker else "another process has"
        raise RunError(f"{self._place}: {who} taken this run over; this one stops, and writes no more")

    def give_up(self, why: str) -> None:
        """Hold it no more, for a reason that lies elsewhere."""
        self._why, self.lost = self._why or why, True
        self.on_lost()

    def _is_mine(self) -> bool:
        following = replace(self._me, number=self._me.number + 1)
        return not self._shelf.exists(following.name) and self._shelf.exists(self._me.name)

    # --- taking -------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        before = highest(self._shelf)
        if before and not before.released and not self._is_dead(before):
            raise RunError(self._refusal(before))
        self._me = myself(before.number + 1 if before else 1)
        if not self._shelf.create(self._me.name, self._me.text) and highest(self._shelf) != self._me:
            raise RunError(self._refusal(highest(self._shelf) or self._me))
        self.followed_a_stranger = bool(before and not before.released and not before.is_here)
        for name in self._shelf.names():
            if name < self._me.name:
                self._shelf.remove(name)

    def _is_dead(self, holder: Holder) -> bool:
        if holder.is_here:
            return not holder.lives_here
        return self._takeover and self._stays_silent(holder)

    def _stays_silent(self, holder: Holder) -> bool:
        """Wait until it has been silent for long enough, or shows that it lives."""
        shown = -1.0
        while (age := self._shelf.age_s(holder.name)) < holder.patience_s:
            if highest(self._shelf) != holder:
                return False
            if shown < 0:
                self._say(f"waiting up to {holder.patience_s - age:.0f} s for a sign of life of {holder}")
            elif age < shown:
                return False
            shown = age
            time.sleep(min(holder.beat_s / 2, holder.patience_s - age + 0.01))
        return highest(self._shelf) == holder

    def _refusal(self, holder: Holder) -> str:
        who = f"{self._place}: {holder}, is running this run"
        if holder.is_here:
            return f"{who}; wait for it, or stop it first"
        age = self._shelf.age_s(holder.name)
        seen = f"{who}; its last sign of life is {age:.0f} s old"
        if age < holder.patience_s:
            return f"{seen}; wait for it, or stop it first"
        return f"{seen}: if it is dead, --takeover goes on in its place"

    # --- holding ------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with contextlib.suppress(Exception):  # the storage may be away for a while; then it may be taken for dead
                if not self._is_mine():
                    self.lost = True
                    self.on_lost()
                    return
                self._me = replace(self._me, renewed=self._me.renewed + 1)
                self._shelf.replace(self._me.name, self._me.text)

    def _release(self) -> None:
        with contextlib.suppress(Exception):  # whoever comes next sees that this process is gone
            if not self.lost and self._is_mine():
                self._shelf.replace(self._me.name, replace(self._me, released=True).text)


def highest(shelf: Shelf) -> Holder | None:
    """The last holder. One whose lease cannot be read is a stranger of whom nothing is known but the number."""
    name = max(shelf.names(), default="")
    if not name:
        return None
    number = int(name.partition("-")[2][:6])
    try:
        return Holder(**{**json.loads(shelf.read(name)), "number": number})
    except (OSError, ValueError, TypeError):
        return Holder(number, "an unknown host", 0, "unknown", 0.0, "", "", BEAT_S)


def is_held(shelf: Shelf) -> bool:
    """Whether a process drives the run now, as far as one can tell from here."""
    holder = highest(shelf)
    if holder is None or holder.released:
        return False
    return holder.lives_here if holder.is_here else shelf.age_s(holder.name) < holder.patience_s


class Folder:
    """Leases in a folder, local or shared."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        return [path.name for path in self._path.glob("driver-*.json") if _NAME.fullmatch(path.name)]

    def exists(self, name: str) -> bool:
        return (self._path / name).exists()

    def read(self, name: str) -> str:
        return (self._path / name).read_text(encoding="utf-8")

    def create(self, name: str, text: str) -> bool:
        draft = self._draft(text)
        try:
            (self._path / name).hardlink_to(draft)  # exclusive also on old versions of NFS, and whole from the start
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def replace(self, name: str, text: str) -> None:
        self._draft(text).replace(self._path / name)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def age_s(self, name: str) -> float:
        now = time.time()
        with contextlib.suppress(OSError):  # who only looks on may not be allowed to write
            draft = self._draft("")
            now = draft.stat().st_mtime
            draft.unlink()
        with contextlib.suppress(FileNotFoundError):
            return now - (self._path / name).stat().st_mtime
        return 0.0

    def _draft(self, text: str) -> Path:
        draft = self._path / f".driver-{uuid.uuid4().hex}.tmp"
        draft.write_text(text, encoding="utf-8")
        return draft

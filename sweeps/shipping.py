"""Keeps the store of a run in step with its working folder while the run goes on.

A round takes a consistent cut of the ledger, uploads the files that the cut may speak of (checkpoints among them), and
then the cut itself as one new part. A part appears whole or not at all, and its number can be taken only once, so that
a driver that was taken over cannot add to the run. What is lost with this machine is what the round in progress held:
the last ``EVERY_S`` seconds, plus the time that uploading takes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.parts import PATTERN, Part, decode, in_order, joined, name_of, span
from analysis.records import DECISIONS
from analysis.stores import redacted
from sweeps import storage
from sweeps.lease import Lease, RunError, Say
from sweeps.ledger import Ledger
from sweeps.storage import Home, Leases, Stored, grown, signature, whole_files

EVERY_S = 5.0  # between two rounds
BOARDS_EVERY_S = 60.0  # TensorBoard files grow, and each time they are uploaded as a whole
WAIT_S = 600.0  # at the end, for a store that does not answer
_LONGEST_PAUSE_S = 60.0
_TOGETHER = 50  # parts that become one
_FOLDERS = ("code", "trials", "milestones", "artifacts")
_GOES = ("code/", "trials/", "milestones/", "ledger/reports.parquet")  # what is removed there when it is removed here


@dataclass(frozen=True)
class Cut:
    """How far the growing files go, at one moment at which nothing was being decided."""

    decisions: int
    segments: dict[str, int]


class Shipper:
    def __init__(self, run: Path, home: Home, lease: Lease, say: Say) -> None:
        self._run, self._home, self._lease, self._say = run, home, lease, say
        self._stored = Stored.read(run)
        self._ledger: Ledger | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="assay-shipping", daemon=True)
        self._boards_at = time.monotonic()
        self._troubled = False

    def begin(self, ledger: Ledger) -> None:
        """Store what there is, so that a store that cannot be written to is noticed now; then keep up."""
        self._ledger = ledger
        with self._home.doing("cannot be written"):
            self.round()
        self._lease.on_lost = self._give_up
        self._thread.start()

    def _keep_up(self) -> None:
        pause = EVERY_S
        while not self._over.wait(pause):
            pause = EVERY_S if self.try_once() else min(2 * pause, _LONGEST_PAUSE_S)

    def try_once(self) -> bool:
        """One round; False if the store does not answer."""
        try:
            self.round()
        except RunError as error:
            self._give_up(str(error))
            return True
        except Exception as error:  # noqa: BLE001 - each store has errors of its own; what is here is safe
            self._complain(error)
            return False
        if self._troubled:
            self._troubled = False
            self._say(f"{self._home.url}: answers again; everything is stored")
        return True

    def _give_up(self, why: str = "") -> None:
        self._over.set()
        if self._ledger:
            self._ledger.lease.give_up(
                why or f"{self._home.url}: another process has taken this run over; this one stops"
            )

    def _complain(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            why = (redacted(str(error)).strip().splitlines() or [type(error).__name__])[0][:200]
            self._say(f"{self._home.url}: does not answer ({why}); the run goes on in {self._run}, and is stored later")

    def stop(self) -> None:
        """Keep up no more."""
        self._over.set()
        if self._thread.ident:
            self._thread.join()

    def finish(self) -> None:
        """Store the rest, however long the store is away. Raises RunError if that is too long."""
        self.stop()
        self._ledger, self._boards_at = None, -BOARDS_EVERY_S
        until, pause = time.monotonic() + WAIT_S, 1.0
        while not self._finished():
            if time.monotonic() > until:
                raise RunError(
                    f"{self._home.url}: not all is stored; `assay resume {self._home.url}` here stores the rest"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _finished(self) -> bool:
        try:
            self.round()
            self._merge(1)
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001 - each store has errors of its own
            self._complain(error)
            return False
        return True

    # --- a round ------------------------------------------------------------------------------------------------------

    def round(self) -> None:
        """Raises RunError if another driver has taken over, and whatever the store raises."""
        cut = self._cut()
        self._upload_files()
        part = self._part(cut)
        if part.decisions or part.reports:
            self._lease.check()
            number = self._stored.last + 1
            if not self._home.create(f"ledger/{name_of(number)}", part.encode()):
                self._adopt(number, part)
            self._stored.last, self._stored.decisions = number, self._stored.decisions + len(part.decisions)
        self._stored.segments = {name: size for name, size in self._shipped.items() if name in cut.segments}
        self._remove_gone()
        self._stored.write(self._run)
        self._merge(_TOGETHER)

    def _adopt(self, number: int, part: Part) -> None:
        """A part that was stored although nobody said so is ours if it is the same; else somebody has taken over."""
        there = self._home.store.cat_file(f"{self._home.path}/ledger/{name_of(number)}")
        if there != part.encode():
            raise RunError(f"{self._home.url}: another process has written to this run; this one stops")

    def _cut(self) -> Cut:
        with self._ledger.writing if self._ledger else contextlib.nullcontext():
            path = self._run / DECISIONS
            return Cut(path.stat().st_size if path.exists() else 0, grown(self._run))

    def _part(self, cut: Cut) -> Part:
        self._shipped = dict(self._stored.segments)
        reports: list[bytes] = []
        for name, size in sorted(cut.segments.items()):
            data = _lines(self._run / "ledger" / name, self._shipped.get(name, 0), size)
            self._shipped[name] = self._shipped.get(name, 0) + len(data)
            reports.append(data)
        return Part(_lines(self._run / DECISIONS, self._stored.decisions, cut.decisions), b"".join(reports))

    def _upload_files(self) -> None:
        folders = _FOLDERS
        if time.monotonic() - self._boards_at >= BOARDS_EVERY_S:
            self._boards_at, folders = time.monotonic(), (*_FOLDERS, "tensorboard")
        for name, path in whole_files(self._run, folders):
            with contextlib.suppress(FileNotFoundError):  # a state that gave way to a newer one
                if self._stored.files.get(name) != (now := signature(path)):
                    self._home.store.put_file(str(path), f"{self._home.path}/{name}")
                    self._stored.files[name] = now

    def _remove_gone(self) -> None:
        gone = [name for name in self._stored.files if name.startswith(_GOES) and not (self._run / name).exists()]
        for name in gone:
            with contextlib.suppress(FileNotFoundError):
                self._home.store.rm_file(f"{self._home.path}/{name}")
            del self._stored.files[name]

    def _merge(self, most: int) -> None:
        """Make one of the parts that stand alone, if there are more than ``most``; of all, at the end of the run.

        Reports that are in the Parquet file by then need not be in the parts. Who reads meanwhile looks again.
        """
        names = in_order(map(str, self._home.store.glob(f"{self._home.path}/{PATTERN}")))
        chosen = names if most == 1 else [name for name in names if span(name)[0] == span(name)[1]]
        compacted = most == 1 and "ledger/reports.parquet" in self._stored.files and not self._stored.segments
        if len(chosen) <= most and not compacted:
            return
        whole = joined([decode(_bytes(self._home.store.cat_file(name)), name) for name in chosen])
        target = f"{self._home.path}/ledger/{name_of(span(chosen[0])[0], span(chosen[-1])[1])}"
        self._home.store.pipe_file(target, (Part(whole.decisions) if compacted else whole).encode())
        for name in chosen:
            if name != target:
                self._home.store.rm_file(name)


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def _lines(path: Path, start: int, end: int) -> bytes:
    """The whole lines between two places of a file."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(max(0, end - start))
    return data[: data.rfind(b"\n") + 1]


@contextlib.contextmanager
def kept(run: Path, *, takeover: bool, say: Say) -> Iterator[Shipper | None]:
    """Hold the run on its store inside, and bring this folder up to it first. None for a run that is on no store."""
    url = storage.url_of(run)
    if url is None:
        yield None
        return
    home = Home(url)
    lease = Lease(Leases(home), url, takeover=takeover, say=say)
    with contextlib.ExitStack() as stack:
        with home.doing("cannot be used"):
            stack.enter_context(lease.held())
        storage.bring(run, to_resume=True)
        shipper = Shipper(run, home, lease, say)
        try:
            yield shipper
        except BaseException:
            shipper.stop()
            shipper.try_once()
            raise
        shipper.finish()


def ship_report(run: Path) -> None:
    """Store the report of a run that is on a store."""
    if url := storage.url_of(run):
        home = Home(url)
        with home.doing("cannot be written"):
            for name, path in whole_files(run, ("report",)):
                if name.startswith("report/"):
                    home.store.put_file(str(path), f"{home.path}/{name}")

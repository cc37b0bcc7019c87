"""Faults of the driver, of its disk and of its trials, with all trials in one process."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from prompt import decisions
from study import STEPS, Place, moments

LONGEST_S = 1.2  # about what a run takes
LEFT = 130  # exit code of a driver that was asked to leave


def at_some_moment(place: Place, rng: random.Random, hit: Callable[[int], None], **options) -> int:
    """Start a driver and hit it at a random moment; the exit code, or None if it had come to its end by then."""
    driver = place.start(**options)
    time.sleep(moments(rng, LONGEST_S))
    if not driver.is_alive():
        return driver.exitcode
    hit(driver.pid)
    driver.join(30)
    if driver.exitcode is None:
        driver.kill()
        raise TimeoutError("the driver does not leave")
    return driver.exitcode


def killed(place: Place, rng: random.Random) -> int:
    return int(at_some_moment(place, rng, lambda pid: os.kill(pid, signal.SIGKILL)) == -signal.SIGKILL)


def interrupted(place: Place, rng: random.Random) -> int:
    return int(at_some_moment(place, rng, lambda pid: os.kill(pid, signal.SIGINT)) not in (0, 70))


def terminated(place: Place, rng: random.Random) -> int:
    return int(at_some_moment(place, rng, lambda pid: os.kill(pid, signal.SIGTERM)) != 0)


def interrupted_twice(place: Place, rng: random.Random) -> int:
    def twice(pid: int) -> None:
        os.kill(pid, signal.SIGINT)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGINT)

    return int(at_some_moment(place, rng, twice) not in (0, 70))


# --- what a kill may leave behind ------------------------------------------------------------------------------------


def torn_ledger(place: Place, rng: random.Random) -> int:
    """Cut into the last decision, as a machine does that loses its power."""
    if not killed(place, rng) or not place.begun:
        return 0
    return _cut(place.run / "ledger" / "decisions.jsonl", rng)


def torn_reports(place: Place, rng: random.Random) -> int:
    if not killed(place, rng) or not place.begun:
        return 0
    segments = sorted(place.run.glob("ledger/reports-*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not segments or not segments[-1].read_bytes().strip():
        return 0
    last = json.loads(segments[-1].read_bytes().splitlines()[-1])
    if any(r["trial"] == last["trial"] for r in decisions(place.run, "done")):
        return 0  # which is recorded after its reports have come to the disk
    state = place.run / "trials" / last["trial"] / f"checkpoint-{last.get('step')}.pt"
    state.unlink(missing_ok=True)  # it is written after the line has come to the disk
    return _cut(segments[-1], rng)


def _cut(path: Path, rng: random.Random) -> int:
    data = path.read_bytes()
    last = len(data) - (data[:-1].rfind(b"\n") + 1)
    if last < 3:
        return 0
    path.write_bytes(data[: -rng.randrange(1, last)])
    return 1


def damaged_checkpoint(place: Place, rng: random.Random) -> int:
    """Damage the newest checkpoint of every trial that is not done."""
    if not killed(place, rng) or not place.begun:
        return 0
    done = {r["trial"] for r in decisions(place.run, "done")}
    damaged = 0
    for folder in (place.run / "trials").glob("*"):
        states = sorted(folder.glob("checkpoint-*.pt"), key=lambda path: int(path.stem.split("-")[1]))
        if states and folder.name not in done:
            damaged += _damage(states[-1], rng)
    return damaged


def _damage(path: Path, rng: random.Random) -> int:
    data = bytearray(path.read_bytes())
    match rng.choice(["flip", "cut", "empty"]):
        case "flip":
            data[rng.randrange(len(data))] ^= 0xFF
        case "cut":
            data = data[: rng.randrange(len(data))]
        case _:
            data = bytearray()
    path.write_bytes(data)
    return 1


# --- the disk --------------------------------------------------------------------------------------------------------


def full_disk(place: Place, rng: random.Random) -> int:
    """The run lies on a disk of its own, on which there is almost no room; then there is some again."""
    with _disk(place.folder / "runs") as disk:
        filler = disk / "filler"
        _fill(filler, leave=rng.randrange(2_000, 60_000))
        code = place.finish()
        filler.unlink()
        assert code == 0 or "No space left" in place.said(), f"exit code {code}: {place.said()}"
        assert "Traceback" not in place.said(), place.said()
        return int(code != 0) and _mended(place)


def read_only_disk(place: Place, rng: random.Random) -> int:
    """The disk is read-only when the driver starts; then it no longer is."""
    with _disk(place.folder / "runs") as disk:
        if rng.random() < 0.5:
            killed(place, rng)
        _mount("remount,ro", disk)
        code = place.finish()
        _mount("remount,rw", disk)
        assert code != 0
        assert "Read-only" in place.said(), place.said()
        assert "Traceback" not in place.said(), place.said()
        return _mended(place)


def _mended(place: Place) -> int:
    """Go on while the disk is there; it is gone afterwards, so the run moves away from it."""
    for _ in range(4):
        if place.finish("--retry-failed" if place.begun else "--inline") == 0:
            break
    kept = place.folder / "kept"
    subprocess.run(["cp", "-a", str(place.folder / "runs"), str(kept)], check=True)
    return 1


class _disk:  # noqa: N801 - a context manager
    """A disk of 2 MB at this path; what is on it stays there as files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        self.path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(self.path)], check=True)
        return self.path

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)
        if (kept := self.path.parent / "kept").is_dir():
            self.path.rmdir()
            kept.rename(self.path)


def _mount(options: str, path: Path) -> None:
    subprocess.run(["mount", "-o", options, str(path)], check=True)


def _fill(path: Path, leave: int) -> None:
    with path.open("wb", buffering=0) as file:
        block = 4096
        try:
            while True:
                file.write(b"\0" * block)
        except OSError:
            pass
    size = path.stat().st_size
    os.truncate(path, max(0, (size - leave) // block * block))


def can_mount() -> bool:
    return os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True) is not None and Path("/proc/mounts").exists()


# --- trials that misbehave -------------------------------------------------------------------------------------------


def _event(place: Place, rng: random.Random, code: str = "", loss: str = "loss") -> int:
    """Let something happen to the trial that gets to a random step first; whether it did."""
    what = {"step": rng.randrange(1, STEPS + 1), "code": code, "loss": loss}
    (place.folder / "event-0").write_text(json.dumps(what))
    (place.folder / "pause").write_text("0")
    assert place.finish() in (0, 1), place.said()
    return int((place.folder / "was-event-0").exists())


def reports_nan(place: Place, rng: random.Random) -> int:
    return _event(place, rng, loss=rng.choice(["float('nan')", "float('inf')"]))


def reports_text(place: Place, rng: random.Random) -> int:
    return _event(place, rng, loss=rng.choice(["'low'", "None", "[1.0]", "{}"]))


def raises(place: Place, rng: random.Random) -> int:
    error = rng.choice(["ValueError('no such luck')", "SystemExit(3)", "KeyError(1)", "RecursionError()", "OSError(2)"])
    return _event(place, rng, code=f"raise {error}")


def out_of_memory(place: Place, rng: random.Random) -> int:
    """It asks for more than the process may have."""
    code = """
import resource, numpy
limits = resource.getrlimit(resource.RLIMIT_AS)
pages = int(Path('/proc/self/statm').read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 2**26, limits[1]))
try:
    numpy.ones(2**30)
finally:
    resource.setrlimit(resource.RLIMIT_AS, limits)
"""
    return _event(place, rng, code=code)


def crashes(place: Place, rng: random.Random) -> int:
    """It takes the driver along, as a segmentation fault does."""
    what = {"step": rng.randrange(1, STEPS + 1), "code": "os.kill(os.getpid(), 11)"}
    (place.folder / "event-0").write_text(json.dumps(what))
    return int(place.finish() == -signal.SIGSEGV)


def clock_jumps(place: Place, rng: random.Random) -> int:
    """The clock jumps forward and back while the run goes on; then, perhaps, its driver is killed."""
    offsets = [rng.uniform(-1e7, 1e7) for _ in range(50)]
    real, began = time.time, time.monotonic()

    def jump() -> None:
        def jumping() -> float:
            return real() + offsets[int((time.monotonic() - began) / 0.02) % len(offsets)]

        time.time = jumping

    driver = place.start(prepare=jump)
    time.sleep(moments(rng, LONGEST_S))
    if rng.random() < 0.5:
        driver.kill()
    driver.join(60)
    if place.begun:
        seconds = [r["seconds"] for r in decisions(place.run) if "seconds" in r]
        assert all(0 <= s < 60 for s in seconds), seconds
    return 1


KINDS: dict[str, tuple[Callable[[Place, random.Random], int], int]] = {
    "driver killed (SIGKILL)": (killed, 0),
    "Ctrl-C": (interrupted, 0),
    "SIGTERM": (terminated, 0),
    "Ctrl-C twice": (interrupted_twice, 0),
    "torn ledger line": (torn_ledger, 0),
    "torn report line": (torn_reports, 0),
    "damaged checkpoint": (damaged_checkpoint, 0),
    "full disk": (full_disk, 0),
    "read-only disk": (read_only_disk, 0),
    "NaN or infinity": (reports_nan, 1),
    "text or nothing for a number": (reports_text, 1),
    "trial raises": (raises, 1),
    "out of memory": (out_of_memory, 0),
    "segmentation fault": (crashes, 0),
    "clock jumps": (clock_jumps, 0),
}
"""Each fault, and how many trials may end badly because of it."""

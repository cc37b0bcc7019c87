"""Reads bad inputs by the million: ``python tests/fuzz/fuzz.py --seconds 1800``.

Each input has a number, from which it can be made again: ``--target run --first 4711 --inputs 1``. Ends with 1 if an
input raised anything but an error of ours, took longer than a minute, needed more memory than it may, or ended its
process.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from random import Random

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "sweeps"), str(TESTS / "fuzz")]

from targets import Checkpoint, Run, Spec, Target  # noqa: E402 - from beside this file

CHUNKS = {"spec": 200, "run": 100, "checkpoint": 2000}  # inputs that a process reads at a time; takes some seconds
LONGEST_S, MOST_BYTES = 60, 6 * 2**30
SMALLER = ("quickstart", "capacity/grokking", "capacity/emc-linear")  # sweeps that are shipped


@dataclass(frozen=True)
class Finding:
    target: str
    number: int
    trace: str


@cache
def target(name: str) -> Target:
    """The target of this process, with a scratch folder of its own."""
    scratch = Path(tempfile.mkdtemp(prefix="assay-fuzz-"))
    if name == "checkpoint":
        return Checkpoint(scratch)
    return _run(scratch) if name == "run" else _spec(scratch)


def _spec(scratch: Path) -> Target:
    from bad_files import GOOD

    from sweeps.resolve import library

    good = scratch / "good.yaml"
    good.write_text(GOOD, encoding="utf-8")
    shutil.copy(TESTS / "sweeps" / "toy.py", scratch)
    return Spec(scratch, [good, *(library()[name] for name in SMALLER)])


def _run(scratch: Path) -> Target:
    from prompt import User

    user = User(scratch)
    user.bowl()
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    return Run(user.run)


def read(name: str, numbers: range) -> list[Finding]:
    """Read these inputs; what went wrong."""
    return [Finding(name, number, trace) for number in numbers if (trace := _wrong(name, number))]


def _wrong(name: str, number: int) -> str:
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S)
    try:
        target(name)(Random(number))
    except Exception:  # noqa: BLE001 - what this is about
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    return ""


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {LONGEST_S} s")


def _begin() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> int:
    asked = _arguments()
    names = [asked.target] if asked.target else list(CHUNKS)
    began, read_so_far, findings = time.monotonic(), dict.fromkeys(names, 0), 0
    with ProcessPoolExecutor(asked.processes, initializer=_begin) as pool:
        work = _chunks(names, asked.first, asked.inputs)
        running: dict[Future[list[Finding]], tuple[str, range]] = {}
        while True:
            while len(running) < 2 * asked.processes and time.monotonic() - began < asked.seconds:
                if not (chunk := next(work, None)):
                    break
                running[pool.submit(read, *chunk)] = chunk
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, numbers = running.pop(future)
                read_so_far[name] += len(numbers)
                for finding in _found(future, name, numbers):
                    findings += 1
                    print(f"\n--- {finding.target} {finding.number}\n{finding.trace}", flush=True)  # noqa: T201
            print(f"\r{time.monotonic() - began:6.0f} s  {_told(read_so_far)}", end="", flush=True)  # noqa: T201
    print(f"\n{findings} findings")  # noqa: T201
    return int(bool(findings))


def _found(future: Future[list[Finding]], name: str, numbers: range) -> list[Finding]:
    try:
        return future.result()
    except BrokenProcessPool:
        return [Finding(name, numbers.start, f"one of {numbers} ended its process, or one beside it did")]


def _chunks(names: list[str], first: int, inputs: int) -> Iterator[tuple[str, range]]:
    """The targets take turns; each gets the same number of chunks, so that the quick ones get more inputs."""
    for turn in count():
        for name in names:
            start = first + turn * CHUNKS[name]
            if inputs <= 0:
                return
            yield name, range(start, start + min(inputs, CHUNKS[name]))
            inputs -= CHUNKS[name]


def _told(read_so_far: dict[str, int]) -> str:
    return ", ".join(f"{name}: {number:,} inputs" for name, number in read_so_far.items())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=CHUNKS, help="one only; all by default")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all")
    parser.add_argument("--seconds", type=float, default=1800, help="no new ones after this time")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

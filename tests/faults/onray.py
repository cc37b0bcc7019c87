"""Faults of the processes and machines of a Ray cluster, several in each run where it survives them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from study import Place

ROOT = Path(__file__).parents[2]
MOST = 3  # faults in a run
_PAUSE_S = 0.4  # so that a trial saves its state after three of its four steps
_LONGEST_S = 150.0


def process_hit(place: Place, rng: random.Random, *, number: int, stacked: bool = False) -> int:
    """Send a signal to processes that run trials, at random moments."""
    faults = 0
    with _driver(place, stacked=stacked) as driver:
        while driver.poll() is None and faults < MOST:
            time.sleep(rng.uniform(0.3, 2.0))
            if place.begun and (running := [p for p in _family(driver.pid) if _runs_trials(p)]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(running), number)
                    faults += 1
    return faults


def driver_killed(place: Place, rng: random.Random) -> int:
    """With it goes the Ray that it has started."""
    with _driver(place) as driver:
        _wait_until_begun(place, driver)
        time.sleep(rng.uniform(0.0, 12.0))
        family = _family(driver.pid)
        driver.kill()
    until = time.monotonic() + 60
    while any(Path(f"/proc/{process}/cmdline").exists() for process in family) and time.monotonic() < until:
        time.sleep(0.2)
    return int(driver.returncode == -signal.SIGKILL)


def machine_lost(place: Place, rng: random.Random) -> int:
    """One of two machines is gone, and another one joins."""
    from machines import unjoined

    faults, nodes = 0, ({"num_cpus": 1}, {"num_cpus": 1})
    with unjoined({}, *nodes) as cluster, _driver(place, "--address", cluster.address) as driver:
        _wait_until_begun(place, driver)
        while driver.poll() is None and faults < MOST - 1:
            time.sleep(rng.uniform(1.0, 6.0))
            if driver.poll() is None:
                cluster.kill(rng.choice(sorted(cluster.cluster.worker_nodes, key=lambda node: node.node_id)))
                faults += 1
                cluster.add(num_cpus=1)
    return faults


def head_killed(place: Place, rng: random.Random) -> int:
    """With it goes the cluster."""
    from machines import unjoined

    with unjoined({"num_cpus": 2}) as cluster, _driver(place, "--address", cluster.address) as driver:
        _wait_until_begun(place, driver)
        time.sleep(rng.uniform(0.0, 8.0))
        cluster.kill(cluster.cluster.head_node)
    assert "Traceback" not in place.said(), place.said()
    return int(driver.returncode == 1)


@contextlib.contextmanager
def _driver(place: Place, *where: str, stacked: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A driver, in a process of its own as Ray cannot be forked, which comes to its end; the next one is inline."""
    place.pause_s, place.stacked, place.extra = _PAUSE_S, stacked, [*where, "--concurrent", "2"]
    place.write()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with (place.folder / "said").open("wb") as said:
        driver = subprocess.Popen(
            [sys.executable, "-m", "sweeps.cli", *place.command],
            cwd=place.folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=said,
            stderr=said,
        )
    place.extra = ["--inline"]
    try:
        yield driver
        driver.wait(_LONGEST_S)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"the driver hangs: {place.said()[-1000:]}") from None
    finally:
        driver.kill()
        driver.wait()


def _wait_until_begun(place: Place, driver: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _LONGEST_S
    while driver.poll() is None and not list(place.run.glob("ledger/reports-*.jsonl")) and time.monotonic() < until:
        time.sleep(0.1)


def _family(process: int) -> list[int]:
    """Its children, and theirs."""
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_family(child)]
    return found


def _runs_trials(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::SoloTrial")
    return False


KINDS: dict[str, tuple[Callable[[Place, random.Random], int], int]] = {
    "Ray: trial's process killed (SIGKILL)": (partial(process_hit, number=signal.SIGKILL), 0),
    "Ray: cohort's process killed (SIGKILL)": (partial(process_hit, number=signal.SIGKILL, stacked=True), 0),
    "Ray: trial's process told to leave (SIGTERM)": (partial(process_hit, number=signal.SIGTERM), 0),
    "Ray: driver killed (SIGKILL)": (driver_killed, 0),
    "Ray: machine lost (SIGKILL of its raylet)": (machine_lost, 0),
    "Ray: head killed (SIGKILL)": (head_killed, 0),
}

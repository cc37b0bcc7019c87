"""Faults of the processes and machines of a Ray cluster, several in each run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from study import Place

RETRIES = 50  # the injector may hit the same trial again and again
FAULTS = 6  # in a run
SETTINGS = {"pause_s": 0.25, "heartbeat_s": 4.0, "points": 8, "retries": RETRIES, "extra": ["--concurrent", "2"]}


def start(place: Place) -> subprocess.Popen[str]:
    """A driver in a process of its own, as Ray's cannot be forked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    said = (place.folder / "said").open("w")
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps.cli", *place.command],
        cwd=place.folder,
        env={**environment, "PYTHONPATH": root, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"},
        stdout=said,
        stderr=said,
        text=True,
    )


def descendants(process: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *descendants(child)]
    return found


def trial_processes(driver: int) -> list[int]:
    """Those of the local Ray of a driver that run a trial."""
    found = []
    for process in descendants(driver):
        try:
            if Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::SoloTrial"):
                found.append(process)
        except OSError:
            continue
    return found


def processes(number: int) -> Callable[[Place, random.Random], int]:
    """Hit processes that run trials with a signal, at random moments."""

    def hit(place: Place, rng: random.Random) -> int:
        driver, faults = start(place), 0
        until = time.monotonic() + 150
        while driver.poll() is None and faults < FAULTS and time.monotonic() < until:
            time.sleep(rng.uniform(0.3, 2.0))
            if running := trial_processes(driver.pid):
                os.kill(rng.choice(running), number)
                faults += 1
        _let_finish(driver, place)
        return faults

    return hit


def _let_finish(driver: subprocess.Popen[str], place: Place, timeout_s: float = 150) -> None:
    place.extra = ["--inline"]  # if anything is left to do
    try:
        driver.wait(timeout_s)
    except subprocess.TimeoutExpired:
        driver.kill()
        raise TimeoutError(f"the driver hangs: {place.said()[-1000:]}") from None


@contextmanager
def _cluster() -> Iterator[object]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def machines_lost(place: Place, rng: random.Random) -> int:
    """Machines disappear, and others join."""
    return _machines(place, rng, lambda cluster, node: cluster.remove_node(node, allow_graceful=False))


def machines_leave(place: Place, rng: random.Random) -> int:
    """Machines are told to leave, as spot machines are, and are gone three seconds later."""

    def leave(cluster, node) -> None:
        from ray._raylet import GcsClient
        from ray.core.generated import autoscaler_pb2

        reason = autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
        GcsClient(address=cluster.address).drain_node(node.node_id, reason, "spot", int((time.time() + 3) * 1000))
        time.sleep(3)
        cluster.remove_node(node, allow_graceful=False)

    return _machines(place, rng, leave)


def _machines(place: Place, rng: random.Random, hit: Callable) -> int:
    with _cluster() as cluster:
        nodes, faults = [cluster.add_node(num_cpus=1) for _ in range(2)], 0
        place.extra = ["--address", cluster.address]
        driver = start(place)
        while driver.poll() is None and faults < FAULTS // 2:
            time.sleep(rng.uniform(2.0, 6.0))
            if driver.poll() is None and place.begun:
                hit(cluster, nodes.pop(rng.randrange(len(nodes))))
                faults += 1
                nodes.append(cluster.add_node(num_cpus=1))
        _let_finish(driver, place)
        return faults


def head_lost(place: Place, rng: random.Random) -> int:
    """The head is killed and with it the cluster; the run goes on in another one."""
    with _cluster() as cluster:
        cluster.add_node(num_cpus=1)
        place.extra = ["--address", cluster.address]
        driver = start(place)
        time.sleep(rng.uniform(6.0, 12.0))
        if driver.poll() is not None:
            return 0
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        _let_finish(driver, place, 90)
        return int(driver.returncode != 0)


def driver_lost(place: Place, rng: random.Random) -> int:
    driver = start(place)
    time.sleep(rng.uniform(4.0, 12.0))
    family = descendants(driver.pid)
    driver.kill()
    _let_finish(driver, place)
    until = time.monotonic() + 60
    while any(Path(f"/proc/{process}/cmdline").exists() for process in family) and time.monotonic() < until:
        time.sleep(0.2)
    return 1


KINDS: dict[str, tuple[Callable[[Place, random.Random], int], int]] = {
    "Ray: trial's process killed (SIGKILL)": (processes(signal.SIGKILL), 0),
    "Ray: trial's process told to leave (SIGTERM)": (processes(signal.SIGTERM), 0),
    "Ray: trial's process hangs (SIGSTOP, heartbeat)": (processes(signal.SIGSTOP), 0),
    "Ray: machine lost (raylet killed)": (machines_lost, 0),
    "Ray: machine leaves (drain, then killed)": (machines_leave, 0),
    "Ray: head killed": (head_lost, 0),
    "Ray: driver killed (SIGKILL)": (driver_lost, 0),
}

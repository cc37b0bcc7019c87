"""A Ray head of our own on this machine, with token authentication on, that no other Ray here is disturbed by."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Head:
    address: str
    token: Path
    environment: dict[str, str]  # of a user who has the token


@contextlib.contextmanager
def head(num_cpus: int = 2) -> Iterator[Head]:
    """Start one, and end it with everything that it has started. Never ``ray stop``, which ends every Ray here."""
    home = Path(tempfile.mkdtemp(prefix="assay-", dir="/tmp"))  # a short path: sockets lie in it
    try:
        ports = _free_ports(6)
        environment = _environment(home)
        with _started(_command(ports, num_cpus), environment, home / "head.log") as process:
            address = f"http://127.0.0.1:{ports[0]}"
            _wait_for(address, (home / "token").read_text(), process, home / "head.log")
            yield Head(address, home / "token", environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _environment(home: Path) -> dict[str, str]:
    token = home / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ASSAY_"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _command(ports: list[int], num_cpus: int) -> list[str]:
    names = ("dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port")
    names += ("dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port")
    return [
        str(Path(sys.executable).with_name("ray")),
        *("start", "--head", "--block", "--port=0", f"--num-cpus={num_cpus}", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true"),
        *(f"--{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def _started(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()  # it then ends what it has started, most of the time
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for left in _of_this_head(environment["RAY_TMPDIR"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        process.wait(20)


def _of_this_head(home: str) -> list[int]:
    """Processes that were given the folder of this head, and so belong to it."""
    mark, found = f"RAY_TMPDIR={home}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _wait_for(address: str, token: str, process: subprocess.Popen[bytes], log: Path, timeout_s: float = 90.0) -> None:
    request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if direct.open(request, timeout=5).status == 200:
                return
        time.sleep(0.5)
    raise RuntimeError(f"no Ray head at {address}:\n{log.read_text()}")

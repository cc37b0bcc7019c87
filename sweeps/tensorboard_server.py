"""TensorBoard as a child of this process, on this machine only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

HOST, PORT = "127.0.0.1", 6006
PATIENCE_S = 60.0


class BoardError(Exception):
    """TensorBoard cannot be shown; one line."""


def free_port(wanted: int | None) -> int:
    """The wanted port; without one, TensorBoard's usual one if it is free, or else any. 0 means any, too."""
    for port in [wanted] if wanted is not None else [PORT, 0]:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise BoardError(f"port {wanted} is taken on this machine; --port 0 takes a free one")


def serve(folder: Path, port: int, ready: Callable[[str], None], refresh: Callable[[], None], every: float) -> None:
    """Show a folder until TensorBoard ends or this process is asked to: Ctrl-C and SIGTERM end both.

    Args:
        ready: is given the address once it answers.
        refresh: is called again and again, ``every`` seconds.
    """
    with _ended_by_sigterm(), _tensorboard(folder, port) as child:
        address = f"http://{HOST}:{port}/"
        _await(child, address)
        if child.poll() is None:
            ready(address)
        while _runs_after(child, every):
            refresh()


def _runs_after(child: subprocess.Popen[bytes], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    return child.poll() is None


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt:
        return  # how one leaves
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _tensorboard(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", HOST, "--port", str(port)]
    with TemporaryFile() as said:
        # In a session of its own: Ctrl-C then reaches this process alone, which ends all of the other one's.
        child = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--reload_interval", "5"], stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        try:
            yield child
            if child.poll():
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines() or ["it does not say why"]
                raise BoardError(f"TensorBoard has ended with exit code {child.returncode}: {last[-1]}")
        finally:
            _end(child)


def _await(child: subprocess.Popen[bytes], address: str) -> None:
    """Until it answers or ends."""
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{address}data/environment", timeout=5).close()  # noqa: S310 - our own http address
            return
        if time.monotonic() > until:
            raise BoardError(f"TensorBoard does not answer at {address} after {PATIENCE_S:.0f} s")
        time.sleep(0.2)


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # also what it has started itself
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
            return

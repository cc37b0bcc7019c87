from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import pytest

from cluster.session import SessionError, beginning, make_token, session

KNOCK = """
import sys
import ray
from cluster.session import SessionError, session
try:
    with session(sys.argv[1]):
        print("in", ray.get(ray.remote(lambda: 2).remote()) - 1)
except SessionError as error:
    print(error)
"""

HOST = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: print("asked to stop"))
before = dict(os.environ)
from cluster.session import session
import ray
with session(num_cpus=1):
    os.kill(os.getpid(), signal.SIGTERM)
    with session(num_cpus=7):
        print("still", int(ray.cluster_resources()["CPU"]))
    print("up", ray.is_initialized())
    address = ray.get_runtime_context().gcs_address
    changes = ({}, {"RAY_AUTH_TOKEN": "wrong"}, {"HOME": "/nonexistent"})
    without_mode = {name: value for name, value in before.items() if name != "RAY_AUTH_MODE"}
    knock = [sys.executable, sys.argv[1], address]
    environments = [without_mode | change for change in changes]
    for visit in [subprocess.Popen(knock, env=e, stdout=subprocess.PIPE, text=True) for e in environments]:
        print(visit.communicate()[0], end="")
changed = {name for name in os.environ if os.environ[name] != before.get(name)}
print("down", not ray.is_initialized(), changed - {"PYTHONBREAKPOINT", "RAY_CLIENT_MODE"})  # those are Ray's
"""


def visits(folder, **change):
    """What a process prints that has a cluster, which others visit with its token, with another one, and without."""
    (folder / "knock.py").write_text(KNOCK)
    (folder / "host.py").write_text(HOST)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-u", "host.py", "knock.py"],
        cwd=folder,
        env=environment | {"HOME": str(folder)} | change,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_local_cluster_asks_for_a_token_and_leaves_signals_and_environment_alone(tmp_path):
    first, still, up, right, wrong, none, down = visits(tmp_path)
    assert (first, still, up, right) == ("asked to stop", "still 1", "up True", "in 1")
    assert wrong.endswith("wants its token, the one in RAY_AUTH_TOKEN is another")
    assert none.endswith("wants its token, there is none here")
    assert down == "down True set()"
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600


@pytest.mark.cluster
def test_who_has_a_token_gets_into_a_cluster_without_one(tmp_path):
    make_token(tmp_path / ".ray" / "auth_token")
    assert visits(tmp_path, RAY_AUTH_MODE="disabled")[3:6] == ["in 1", "in 1", "in 1"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:8265", "assay submit ... --address http://127.0.0.1:8265"),
        ("ray://head:10001", "expected HOST:PORT"),
        ("somewhere", "got somewhere, expected HOST:PORT"),
    ],
)
def test_addresses_of_another_kind_are_refused(address, words, no_ray):
    with pytest.raises(SessionError, match="address") as error, session(address):
        pass
    assert words in str(error.value)


def test_where_nobody_listens(no_ray):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(SessionError, match=f"no Ray head answers at {address}"), session(address):
        pass


BEGINS = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from cluster.session import beginning
with beginning() as up:
    import threading
    before = threading.current_thread()
    up()
    import ray
    print(ray.get(ray.remote(lambda: 2).remote()), before is threading.main_thread())
print("down", not ray.is_initialized(), signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
"""


@pytest.mark.cluster
def test_ray_may_begin_while_other_things_go_on(tmp_path):
    done = subprocess.run([sys.executable, "-c", BEGINS], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2 True\ndown True True\n", 0), done.stderr
    assert not done.stderr


@pytest.mark.parametrize("waits", [True, False])
def test_who_waits_for_a_ray_that_cannot_begin_is_told(waits, no_ray):
    with beginning("somewhere") as up:
        if waits:
            with pytest.raises(SessionError, match="got somewhere, expected HOST:PORT"):
                up()


@pytest.fixture
def no_ray(monkeypatch):
    """As if this process had not joined the cluster of other tests, with its own token variables."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

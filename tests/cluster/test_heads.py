"""The head of a cluster is killed while a driver is in it; the driver says so, and the run goes on in another one."""

from __future__ import annotations

import queue
import socket
import time
from collections import Counter

import pytest
from machines import leave_local, unjoined
from prompt import User, decisions

from cluster import heads

TRAINABLE = """
import time

def train(config, trial):
    noise = trial.streams.numpy("noise")
    for step in (1, 2, 3):
        time.sleep(0.5 * config["slow"])
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 0.001 * noise.normal()}
"""


def until(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def values(run) -> dict[str, dict[str, float]]:
    return {record["trial"]: record["values"] for record in decisions(run, "done")}


def test_who_answers_again_is_not_gone(monkeypatch):
    monkeypatch.setattr(heads, "_KNOCK_S", 0.01)
    monkeypatch.setattr(heads, "_PATIENCE_S", 2.0)
    said: queue.Queue[str] = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with heads.watched(address, said.put):
            head.close()
            time.sleep(0.1)
            with socket.create_server(("127.0.0.1", int(address.split(":")[1]))):
                time.sleep(0.3)
                assert said.empty()
            assert said.get(timeout=10).startswith(f"the Ray head at {address} is gone")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_head_that_is_killed_is_one_line_and_the_run_goes_on_in_another_cluster(tmp_path):
    leave_local()
    user = User(tmp_path)
    user.bowl(fixed="{slow: 1}")
    user.write("bowl.py", TRAINABLE)
    with unjoined({}, {"num_cpus": 2}) as first:  # and the default folder of runs, which is a relative path
        address = first.address
        driver = user.start("run", "bowl.yaml", "--address", address)
        until(lambda: user.runs and decisions(user.run, "done"))
        first.kill(first.cluster.head_node)
        out, err = driver.communicate(timeout=120)
    before = values(user.run)
    assert driver.returncode == 1
    assert f"the Ray head at {address} is gone; what the run has is kept" in err.splitlines()[-1]
    assert "Traceback" not in out + err
    with unjoined({"num_cpus": 2}) as second:
        said = user.process("resume", "bowl", "--address", second.address, timeout_s=240)
    assert said.code == 0, said.err
    attempts = Counter(record["trial"] for record in decisions(user.run, "started"))
    assert {attempts[trial] for trial in before} == {1}
    assert set(Counter(record["trial"] for record in decisions(user.run, "done")).values()) == {1}
    assert user.process("run", "bowl.yaml", "--inline", "--runs", "whole").code == 0
    (whole,) = (user.folder / "whole" / "bowl").iterdir()
    assert values(user.run) == values(whole)

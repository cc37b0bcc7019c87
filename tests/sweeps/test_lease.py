"""Two drivers and one run, with real processes: killed, stopped and continued."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from analysis import records
from sweeps import lease
from sweeps.lease import Folder, highest, is_held
from sweeps.ledger import Ledger, RunError

DRIVER = """
import sys
from pathlib import Path
from sweeps import lease
from sweeps.ledger import Ledger

lease.BEAT_S = float(sys.argv[3])
if sys.argv[2]:
    lease.machine = lambda: sys.argv[2]
ledger = Ledger(Path(sys.argv[1]))
with ledger.open():
    ledger.lease.on_lost = lambda: print("lost", flush=True)
    print("open", flush=True)
    for number, line in enumerate(sys.stdin):
        ledger.record("started", trial=f"{sys.argv[2]} {number}", attempt=1)
        print("written", flush=True)
"""


@contextmanager
def driver(run, machine="", beat_s=0.1):
    """A process that has opened the run, on this machine or one that is called so."""
    command = [sys.executable, "-c", DRIVER, str(run), machine, str(beat_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            assert process.stdout.readline() == "open\n", process.stderr.read()
            yield process
        finally:
            process.kill()


def write(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def trials(run):
    return [record["trial"] for record in records.read_decisions(run).records]


def test_the_second_is_refused_and_told_who_holds_the_run_since_when(tmp_path):
    with driver(tmp_path) as process:
        for takeover in (False, True):
            with pytest.raises(RunError) as refusal, Ledger(tmp_path, takeover=takeover).open():
                pass
            for word in (f"process {process.pid} on {socket.gethostname()}", getpass.getuser(), time.strftime("%Y-")):
                assert word in str(refusal.value)
        assert is_held(Folder(tmp_path / "ledger"))


def test_a_driver_that_died_here_is_followed_without_a_word(tmp_path):
    with driver(tmp_path) as process:
        process.kill()
        process.wait()
        assert not is_held(Folder(tmp_path / "ledger"))
        with Ledger(tmp_path).open():
            pass


def test_one_that_is_stopped_here_is_alive(tmp_path):
    with driver(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        with pytest.raises(RunError, match=f"process {process.pid} on"), Ledger(tmp_path, takeover=True).open():
            pass


def test_one_elsewhere_that_gives_signs_of_life_is_not_followed(tmp_path):
    with driver(tmp_path, "elsewhere"):
        with pytest.raises(RunError, match="its last sign of life is 0 s old; wait for it"), Ledger(tmp_path).open():
            pass
        said = []
        with pytest.raises(RunError, match="wait for it"), Ledger(tmp_path, takeover=True, say=said.append).open():
            pass
        assert "waiting up to 1 s for a sign of life of process" in said[0]
        assert is_held(Folder(tmp_path / "ledger"))


def test_a_silent_one_elsewhere_is_followed_on_request_only_and_stops_when_it_comes_back(tmp_path):
    with driver(tmp_path, "elsewhere") as process:
        write(process)
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        assert not is_held(Folder(tmp_path / "ledger"))
        with pytest.raises(RunError, match="if it is dead, --takeover goes on"), Ledger(tmp_path).open():
            pass
        with Ledger(tmp_path, takeover=True).open() as ledger:
            ledger.record("started", trial="mine", attempt=1)
            write(process)
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=20)
            assert process.returncode == 1
            assert f"process {os.getpid()} on" in err
            assert "has taken this run over; this one stops, and writes no more" in err
            assert "written" not in out
            ledger.record("started", trial="mine", attempt=2)
        assert trials(tmp_path) == ["elsewhere 0", "mine", "mine"]
    with Ledger(tmp_path).open():
        pass  # nobody holds it now


def test_one_that_comes_back_within_a_write_writes_into_nothing(tmp_path):
    """Nothing can be checked between a check and the write that follows it, so the file itself is another one."""
    elsewhere = Ledger(tmp_path)
    with elsewhere.open():
        elsewhere.record("started", trial="theirs", attempt=1)
        folder = Folder(tmp_path / "ledger")
        stranger = json.loads(highest(folder).text) | {"machine": "elsewhere", "beat_s": 0.001}
        folder.replace(highest(folder).name, json.dumps(stranger))
        elsewhere.lease.check = lambda: None
        with Ledger(tmp_path, takeover=True).open() as ledger:
            ledger.record("started", trial="mine", attempt=1)
            elsewhere.record("started", trial="late", attempt=1)
            ledger.record("started", trial="mine", attempt=2)
    assert trials(tmp_path) == ["theirs", "mine", "mine"]


def test_a_driver_notices_while_it_has_nothing_to_write(tmp_path):
    with driver(tmp_path, "elsewhere") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.3)
        with Ledger(tmp_path, takeover=True).open():
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline() == "lost\n"


def test_of_many_that_come_at_once_exactly_one_gets_the_run(tmp_path):
    commands = [[sys.executable, "-c", DRIVER, str(tmp_path), f"machine {n}", "5"] for n in range(4)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for command in commands]
    opened = [process.stdout.readline() == "open\n" for process in processes]
    assert sum(opened) == 1
    for process in processes:
        process.kill()
    errors = [process.communicate()[1] for process in processes]
    assert all("is running this run" in error for error, won in zip(errors, opened, strict=True) if not won), errors


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 3}', "\x00" * 100])
def test_a_lease_that_cannot_be_read_is_that_of_a_stranger(tmp_path, text):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "driver-000004.json").write_text(text)
    with pytest.raises(RunError, match="an unknown host"), Ledger(tmp_path).open():
        pass
    os.utime(tmp_path / "ledger" / "driver-000004.json", (0, 0))
    with Ledger(tmp_path, takeover=True).open():
        assert Folder(tmp_path / "ledger").names() == ["driver-000005.json"]


def test_a_process_that_got_the_number_of_a_dead_one_is_not_that_one():
    assert lease.born(os.getpid())
    assert lease.Holder(1, "h", os.getpid(), "u", 0.0, lease.machine(), lease.born(os.getpid()), 5.0).lives_here
    assert not lease.Holder(1, "h", os.getpid(), "u", 0.0, lease.machine(), "another time", 5.0).lives_here


def test_the_command_line_refuses_with_2(user):
    user.bowl()
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    with driver(user.run) as process:
        for words in (["resume", "bowl"], ["resume", "bowl", "--takeover"], ["run", "bowl.yaml", "--into", "bowl"]):
            said = user.assay(*words, "--inline")
            assert said.code == 2
            assert f"process {process.pid} on" in said.err
            assert "Traceback" not in said.err
        process.stdin.close()
        process.wait()
    assert user.assay("resume", "bowl", "--inline").code == 0
    assert not list(Path(user.run / "ledger").glob(".driver*"))

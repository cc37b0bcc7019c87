"""Runs on S3, served on loopback: written, read from another machine, killed, cut off, taken over."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from prompt import decisions

from analysis import records
from analysis.frames import load
from analysis.parts import Part, decode, in_order, joined, name_of, span
from analysis.records import LedgerError
from analysis.report import summary
from analysis.stores import open_store, read_parts, redacted
from sweeps import shipping, storage
from sweeps.lease import Folder, Lease, RunError
from sweeps.ledger import Ledger, LedgerSink
from trainables.api import Order

PLACE = "s3://bucket/runs"
EVERY_S = 0.3
DRIVER = f"from sweeps import cli, shipping; shipping.EVERY_S = {EVERY_S}; shipping.WAIT_S = 60; cli.main()"
SLOW = """
import time

def train(config, trial):
    first = trial.restored["step"] + 1 if trial.restored else 1
    for step in range(first, 7):
        time.sleep(0.05)
        trial.checkpoint(lambda step=step: {"step": step})
        noise = trial.streams.numpy(f"noise {step}").normal()
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 0.01 * noise / step}
"""


class Server:
    """What it holds outlives a stop."""

    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self):
        self._server.stop()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def store(server, monkeypatch, tmp_path):
    """An account with an empty bucket, and a machine that has nothing yet."""
    account = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", "AWS_ACCESS_KEY_ID": "me"}
    account |= {"AWS_SECRET_ACCESS_KEY": "hush-hush", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    account |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    for name, value in {**account, "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_WORK", str(tmp_path / "machine 1"))
    store = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    store.mkdir("bucket")
    yield store
    store.rm("bucket", recursive=True)
    type(store).clear_instance_cache()


def on_another_machine(monkeypatch, tmp_path, number=2):
    monkeypatch.setenv("ASSAY_WORK", str(tmp_path / f"machine {number}"))


def values(run):
    return {record["trial"]: record["values"] for record in decisions(run, "done")}


# --- a run, and who reads it -----------------------------------------------------------------------------------------


def test_a_run_on_a_store_is_like_any_other_also_from_another_machine(user, store, monkeypatch, tmp_path):
    user.bowl()
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    said = user.assay("run", "bowl.yaml", "--inline", "--runs", PLACE)
    assert said.code == 0, said.err
    assert f"run folder: {PLACE}/bowl/" in said.out
    on_another_machine(monkeypatch, tmp_path)
    assert "finished" in user.assay("status", "bowl", "--runs", PLACE).out
    assert "bowl" in user.assay("runs", "--runs", PLACE).out
    (run,) = (tmp_path / "machine 2/s3/bucket/runs/bowl").iterdir()
    assert values(run) == values(user.run)
    assert summary(load(run)).table == summary(load(user.run)).table
    url = f"{PLACE}/bowl/{run.name}"
    for words in (["report", url], ["resume", url, "--inline"], ["export", url, "--to", "tables"]):
        assert user.assay(*words).code == 0, words
    assert (tmp_path / "tables").is_dir()
    assert len(decisions(run, "started")) == 10
    assert store.exists(f"{url}/report/index.html".removeprefix("s3://"))
    names = store.glob(f"{url}/ledger/part-*".removeprefix("s3://"))
    assert len(names) == 1
    assert not read_parts(*open_store(url))[0].reports  # they are in the Parquet file


STOPS = """
import signal
from pathlib import Path

def train(config, trial):
    flag = Path(__file__).parent / "go"
    first = trial.restored["step"] + 1 if trial.restored else 1
    with (Path(__file__).parent / "firsts").open("a") as file:
        file.write(f"{first} ")
    for step in range(first, 5):
        if step == 4 and not flag.exists():
            signal.raise_signal(signal.SIGINT)
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 1 / step}
"""


def test_an_interrupted_run_goes_on_from_its_checkpoint_on_a_machine_that_has_nothing(
    user, store, monkeypatch, tmp_path
):
    user.reports = False
    user.bowl(trainable="stops.py:train")
    user.write("stops.py", STOPS)
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", PLACE).code == 130
    assert "interrupted" in user.assay("status", "bowl", "--runs", PLACE).out
    on_another_machine(monkeypatch, tmp_path)
    user.write("go", "")
    said = user.assay("resume", "bowl", "--inline", "--runs", PLACE)
    assert said.code == 0, said.err
    firsts = (tmp_path / "firsts").read_text().split()
    assert firsts[:2] == ["1", "5"]  # the state of step 4 was stored
    (run,) = (tmp_path / "machine 2/s3/bucket/runs/bowl").iterdir()
    assert len(values(run)) == len(decisions(run, "done")) == 10


def test_a_named_run_goes_on_wherever_it_is_asked_for_again(user, store, monkeypatch, tmp_path):
    user.reports = False
    user.bowl(trainable="stops.py:train")
    user.write("stops.py", STOPS)
    again = ("run", "bowl.yaml", "--inline", "--runs", PLACE, "--name", "base")
    assert user.assay(*again).code == 130
    user.write("go", "")
    on_another_machine(monkeypatch, tmp_path)
    said = user.assay(*again)
    assert said.code == 0, said.err
    assert len(decisions(tmp_path / "machine 2/s3/bucket/runs/bowl/base", "done")) == 10
    on_another_machine(monkeypatch, tmp_path, number=3)
    assert f"run folder: {PLACE}/bowl/base\nit is finished; nothing runs again" in user.assay(*again).out
    on_another_machine(monkeypatch, tmp_path, 1)  # which is behind now
    assert "finished" in user.assay("status", "bowl", "--runs", PLACE).out


# --- a driver that dies ----------------------------------------------------------------------------------------------


def start(user, home, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ASSAY_"))}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words],
        cwd=user.folder,
        env={**environment, "COLUMNS": "200", "ASSAY_WORK": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, process=None, seconds=90.0):
    until = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def written(home):
    """What the ledger on a machine holds: its decisions, and its reports by trial and step."""
    runs = list(home.glob("s3/bucket/runs/bowl/*"))
    if not runs or not (runs[0] / records.DECISIONS).exists():
        return [], []
    reports = [r for lines in records.read_segments(runs[0]) for r in lines.records]
    return records.read_decisions(runs[0]).records, reports


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again_each_time_on_a_new_machine_it_ends_as_if_undisturbed(user, store, tmp_path):
    user.bowl(trainable="slow.py:train", seeds="{confirm: 4}", search="{sampler: random, points: 6}")
    user.write("slow.py", SLOW)
    assert user.process("run", "bowl.yaml", "--inline").code == 0
    command, chance = ["run", "bowl.yaml"], random.Random(0)
    for number, done in enumerate((1, 4, 7, 11, 14)):
        home = tmp_path / f"machine {number}"
        driver = start(user, home, *command, "--inline", "--runs", PLACE)
        finished = lambda home=home: sum(r["kind"] == "done" for r in written(home)[0])  # noqa: E731
        wait_until(lambda finished=finished, done=done: finished() >= done, driver)
        time.sleep(chance.uniform(0, 2 * EVERY_S))
        killed = time.time()
        driver.kill()
        driver.communicate()
        check_the_bound(home, killed)
        command = ["resume", "bowl"]
    last = start(user, tmp_path / "last", *command, "--inline", "--runs", PLACE)
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, (out, err)
    (run,) = (tmp_path / "last/s3/bucket/runs/bowl").iterdir()
    assert values(run) == values(user.run)
    assert len(decisions(run, "done")) == len(values(run)) == 20
    assert summary(load(run)).table == summary(load(user.run)).table


def check_the_bound(home, killed):
    """All that is older than a round and the time that one takes is stored, and what is stored fits together."""
    (run,) = home.glob("s3/bucket/runs/bowl/*")
    part, _ = read_parts(*open_store(f"{PLACE}/bowl/{run.name}"))
    there = set(part.decisions.splitlines()) | set(part.reports.splitlines())
    here = (run / records.DECISIONS).read_bytes().splitlines()
    for segment in run.glob(records.SEGMENTS):
        here += segment.read_bytes().splitlines()
    lost = [records.decode(line, run, 0)["time"] for line in here if line.endswith(b"}") and line not in there]
    assert all(when > killed - 20 * EVERY_S for when in lost), killed - min(lost)
    stored = [records.decode(line, run, 0) for line in part.decisions.splitlines()]
    begun = {(r["trial"], r["attempt"]) for r in stored if r["kind"] == "started"}
    reports = [records.decode(line, run, 0) for line in part.reports.splitlines()]
    assert {(r["trial"], r["attempt"]) for r in reports} <= begun
    told = {(r["trial"], r["step"]) for r in reports if r["kind"] == "report"}
    assert all((r["trial"], 6) in told for r in stored if r["kind"] == "done")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_store_that_goes_away_stops_nothing_and_gets_everything_later(user, server, store, tmp_path):
    user.bowl(trainable="slow.py:train", seeds="{confirm: 4}", search="{sampler: random, points: 6}")
    user.write("slow.py", SLOW)
    home = tmp_path / "machine 1"
    driver = start(user, home, "run", "bowl.yaml", "--inline", "--runs", PLACE)
    wait_until(lambda: sum(r["kind"] == "done" for r in written(home)[0]) >= 2, driver)
    server.stop()
    wait_until(lambda: sum(r["kind"] == "done" for r in written(home)[0]) >= 8, driver)
    server.start()
    out, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, (out, err)
    assert f"{PLACE}/bowl/" in out
    assert "the run goes on in" in out
    (run,) = home.glob("s3/bucket/runs/bowl/*")
    part, _ = read_parts(*open_store(f"{PLACE}/bowl/{run.name}"))
    assert part.decisions == (run / records.DECISIONS).read_bytes()


def test_a_part_that_somebody_else_has_stored_ends_this_driver(store, tmp_path):
    run = storage.working_folder(f"{PLACE}/bowl/1")
    (run / "ledger").mkdir(parents=True)
    (run / "sweep.lock.yaml").write_text("sweep: bowl\n")
    home, lost = storage.Home(f"{PLACE}/bowl/1"), []
    with Ledger(run).open() as ledger, Lease(storage.Leases(home), home.url).held() as lease:
        shipper = shipping.Shipper(run, home, lease, print)
        ledger.record("started", trial="t", attempt=1)
        LedgerSink(run, Order(trial="t", trainable="x", config={}, seed=0)).report(1, {"loss": 1.0})
        shipper.begin(ledger)
        ledger.lease.on_lost = lambda: lost.append(True)
        shipper.stop()
        assert home.create("ledger/part-000002.jsonl", Part(b"{}\n").encode())
        ledger.record("done", trial="t", attempt=1, seconds=1.0, error="")
        shipper.try_once()
        assert lost
        with pytest.raises(RunError, match="another process has written to this run"):
            ledger.record("done", trial="u", attempt=1, seconds=1.0, error="")
        with pytest.raises(RunError, match="is running this run"), Lease(storage.Leases(home), home.url).held():
            pass


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("s3://nothing/runs", ["cannot be used", "bucket does not exist"]),
        ("gs://bucket/runs", ["gcsfs", "pip install 'assay[gs]'"]),
        ("abfs://box@account.dfs.core.windows.net/runs", ["adlfs", "pip install 'assay[abfs]'"]),
        ("s4://bucket/runs", ["Protocol not known: s4"]),
        ("s3://bucket/../runs", ["empty or relative parts"]),
        ("s3:///runs", ["empty or relative parts"]),
        ("s3://me:hush-hush@bucket/runs", ["s3://***@bucket/runs", "credentials"]),
        ("s3://bucket/runs?token=hush-hush", ["s3://bucket/runs?***", "credentials"]),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_starts(user, store, place, words):
    user.bowl()
    for said in (
        user.assay("run", "bowl.yaml", "--inline", "--runs", place),
        user.assay("status", f"{place}/bowl/1") if "nothing" not in place else None,
    ):
        assert said is None or said.code == 2
        assert said is None or all(word in said.err for word in words), said.err
        assert said is None or "hush-hush" not in said.out + said.err
        assert said is None or "Traceback" not in said.err


def test_without_credentials_it_says_so(user, store, monkeypatch):
    user.bowl()
    type(store).clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = user.assay("run", "bowl.yaml", "--inline", "--runs", PLACE)
    assert said.code == 2
    assert "Unable to locate credentials" in said.err


def test_credentials_are_written_nowhere(user, store, tmp_path):
    user.bowl()
    said = user.assay("run", "bowl.yaml", "--inline", "--runs", PLACE)
    assert said.code == 0
    assert "hush-hush" not in said.out + said.err
    files = [path for path in (tmp_path / "machine 1").rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if b"hush-hush" in path.read_bytes()]
    assert not [name for name in store.find("bucket") if b"hush-hush" in store.cat_file(name)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://me:secret@bucket/a", "s3://***@bucket/a"),
        ("cannot open https://x/y?sig=abc&se=1 now", "cannot open https://x/y?*** now"),
        ("abfs://box@account.dfs.core.windows.net/a", "abfs://box@account.dfs.core.windows.net/a"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_secrets_are_redacted(text, shown):
    assert redacted(text) == shown


def test_working_folders_and_places_belong_together(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_WORK", str(tmp_path))
    assert storage.working_folder("s3://bucket/runs/") == tmp_path / "s3" / "bucket" / "runs"
    assert storage.url_of(tmp_path / "s3" / "bucket" / "runs" / "bowl") == "s3://bucket/runs/bowl"
    assert storage.url_of(tmp_path.parent) is None
    assert storage.folder_of("file:///tmp/x").as_posix() == "/tmp/x"


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [[], [(b"", b"")], [(b"{}\n", b""), (b"", b"{}\n{}\n"), (b"{}\n", b"{}\n")]])
def test_parts_come_back(pairs):
    parts = [Part(*pair) for pair in pairs]
    assert [decode(part.encode(), "part") for part in parts] == parts
    assert joined(parts) == Part(b"".join(a for a, _ in pairs), b"".join(b for _, b in pairs))


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_torn_part_is_damage(cut):
    with pytest.raises(LedgerError, match="part-000001"):
        decode(Part(b"{}\n", b"{}\n").encode()[:cut], "part-000001.jsonl")


def test_merged_parts_take_the_place_of_single_ones():
    names = [name_of(1, 3), name_of(1), name_of(2), name_of(3), name_of(4), name_of(1, 2), "driver-000001.json"]
    assert in_order(names) == [name_of(1, 3), name_of(4)]
    assert [span(name) for name in names[:2]] == [(1, 3), (1, 1)]


def test_leases_on_a_store_are_taken_once(store):
    leases = storage.Leases(storage.Home(f"{PLACE}/bowl/1"))
    assert leases.names() == []
    assert leases.create("driver-000001.json", "a")
    assert not leases.create("driver-000001.json", "b")
    assert leases.read("driver-000001.json") == "a"
    assert 0 <= leases.age_s("driver-000001.json") <= 60
    assert leases.exists("driver-000001.json")
    leases.remove("driver-000001.json")
    assert not leases.exists("driver-000001.json")
    assert isinstance(Folder(storage.work()).names(), list)

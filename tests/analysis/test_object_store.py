"""Runs on S3, served on loopback."""

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from synthetic import Folder, lock, noisy, sweep

import analysis
from analysis import LedgerError
from analysis.frames import compact

SWEEP = lock({"model.name": ["mlp", "cnn"]})


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, the second one compacted."""
    runs = tmp_path_factory.mktemp("store") / "runs"
    for name in ("1", "2"):
        sweep(runs / "q" / name, SWEEP, noisy(lambda _: 0.9), points=2, seeds=2)
    compact(runs / "q/2")
    return runs


@pytest.fixture
def store(endpoint, runs, monkeypatch, tmp_path):
    """An account with these runs in a bucket."""
    account = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"}
    account |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("bucket")
    store.put(str(runs), "bucket/", recursive=True)
    type(store).clear_instance_cache()
    yield store
    store.rm("bucket", recursive=True)
    type(store).clear_instance_cache()


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("s3://bucket/runs/q/1", ["q/1"]),
        ("s3://bucket/runs/q/1/", ["q/1"]),
        ("s3://bucket/runs/q", ["q/2"]),  # the latest
        ("s3://bucket/runs/q/*", ["q/1", "q/2"]),
        ("s3://bucket/*/q/[2-9]", ["q/2"]),
        (["s3://bucket/runs/*/1", "s3://bucket/runs/q/2"], ["q/1", "q/2"]),
    ],
)
def test_runs_are_found(store, place, names):
    assert list(analysis.load_each(place)) == names


def test_a_run_is_the_same_there_and_here(store, runs):
    for name in ("1", "2"):
        there, here = analysis.load(f"s3://bucket/runs/q/{name}"), analysis.load(runs / "q" / name)
        for frame in ("cells", "trials", "attempts", "points", "winners", "reports", "events"):
            assert getattr(there, frame).equals(getattr(here, frame)), frame
        assert (there.lock, there.code, there.environment) == (here.lock, here.code, here.environment)
    assert len(analysis.load("s3://bucket/runs/q/*").trials) == len(here.trials)  # merged: they hold the same trials


def test_what_a_run_has_added_since_the_last_look_is_seen(store, tmp_path):
    before = analysis.load("s3://bucket/runs/q/1")
    folder = Folder(tmp_path / "more")
    folder.report("c0-t0", 99, {"accuracy/test": 0.5}, segment="another")
    store.put(str(tmp_path / "more/ledger/reports-another.jsonl"), "bucket/runs/q/1/ledger/reports-another.jsonl")
    assert len(analysis.load("s3://bucket/runs/q/1").reports) == len(before.reports) + 1


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s3://bucket/nothing", r"^s3://bucket/nothing: cannot be read: not found: bucket/nothing$"),
        ("s3://bucket/nothing/*", r"^s3://bucket/nothing/\*: no run folder there$"),
        ("s3://bucket", r"^s3://bucket: no run folder there$"),
        ("s3://no-bucket/runs", r"^s3://no-bucket/runs: cannot be read: .*bucket does not exist$"),
        ("s3://no-bucket/*", r"^s3://no-bucket/\*: no run folder there$"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(store, place, message):
    with pytest.raises(LedgerError, match=message):
        analysis.load(place)


def test_damage_names_the_file_in_the_store(store):
    store.pipe("bucket/runs/q/1/ledger/reports-0.jsonl", b"damage\n")
    with pytest.raises(LedgerError, match=r"^s3://bucket/runs/q/1/ledger/reports-0.jsonl:1: damaged record"):
        analysis.load("s3://bucket/runs/q/1")


def test_without_credentials_or_connection_there_is_no_traceback(store, monkeypatch):
    with monkeypatch.context() as nobody:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            nobody.delenv(name)
        with pytest.raises(LedgerError, match=r"^s3://bucket/runs/q/1: cannot be read: Unable to locate credentials"):
            analysis.load("s3://bucket/runs/q/1")
    type(store).clear_instance_cache()
    with monkeypatch.context() as nowhere:
        nowhere.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(LedgerError, match=r"^s3://bucket/runs/q/1: cannot be read: Could not connect"):
            analysis.load("s3://bucket/runs/q/1")

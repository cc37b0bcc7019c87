"""Runs on a real Ray head of our own: sent, stopped, sent again, followed, brought home."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from head import head

from analysis import records
from cluster import submit, travel
from cluster.jobs import Cluster, SubmitError
from cluster.needs import needs
from cluster.submit import run_folder

REPOSITORY = Path(submit.__file__).resolve().parents[1]
pytestmark = pytest.mark.cluster

# Trials of kind b go on until there is a file, which may take all CPUs from the others.
TRAINABLE = """
import os, pathlib, time

def train(config):
    if config["x"] > 1.4:
        raise RuntimeError("cannot log in with " + os.environ["CANARY"])
    gate = pathlib.Path(os.environ["GATE"])
    while config["kind"] == "b" and not gate.exists():
        yield {"loss": 9.0}
        time.sleep(0.1)
    yield {"step": 10_000, "loss": (config["x"] - 1) ** 2}
"""
SWEEP = """
sweep: my-question
question: Where is the minimum?
trainable: my_model.py:train
factors: {kind: [a, c, b]}
nuisance: {x: {low: 0.0, high: 2.0}}
objective: {minimize: loss}
search: {sampler: random, points: 3}
seeds: {confirm: 2}
"""


@pytest.fixture(scope="module")
def ray_head():
    with head() as one:
        yield one


def run(command, environment, cwd, timeout_s=240):
    """Returns exit code and output."""
    command = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return done.returncode, done.stdout + done.stderr


def without_token(environment) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")}


def assert_whole(run_folder: Path) -> None:
    for name in ("sweep.lock.yaml", "environment.json", "ledger/decisions.jsonl", "report/index.html"):
        assert (run_folder / name).stat().st_size > 0, name


def test_plain_ray_job_submit_works(ray_head):
    job = ["ray", "job", "submit", "--address", ray_head.address, "--working-dir", "."]
    command = [*job, "--", "assay", "run", "quickstart", "--scale", "smoke"]
    code, output = run(command, ray_head.environment, REPOSITORY)
    assert code == 0, output
    there = run_folder(output)
    assert there is not None, output
    assert Path(there).parent == Path(ray_head.environment["HOME"]) / "assay-runs" / "quickstart"
    assert_whole(Path(there))


def test_assay_submit_brings_the_report_home(ray_head, tmp_path):
    command = ["assay", "submit", "quickstart", "--scale", "smoke", "--address", ray_head.address]
    environment = ray_head.environment | {"HOME": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}
    code, output = run(command, environment, tmp_path)
    assert code == 0, output
    (home,) = (tmp_path / "runs" / "quickstart").iterdir()
    assert_whole(home)
    assert "the convolutional network is more accurate" in (home / "report" / "index.html").read_text()


class Person:
    """Somebody with a sweep in a folder, a secret in the environment, and a token."""

    def __init__(self, ray_head, folder: Path) -> None:
        self.folder, self.head, self.gate = folder, ray_head, folder / "gate"
        self.canary = secrets.token_hex(12)
        self.environment = ray_head.environment | {"CANARY": self.canary, "GATE": str(self.gate)}
        self.environment |= {"RAY_API_SERVER_ADDRESS": ray_head.address, "COLUMNS": "200"}
        (folder / "my_model.py").write_text(TRAINABLE)
        (folder / "my.yaml").write_text(SWEEP)

    def assay(self, *words: str) -> tuple[int, str]:
        return run(["assay", *words], self.environment, self.folder)

    def submit(self, *words: str) -> tuple[int, str]:
        given = ("--env", "CANARY", "--env", f"GATE={self.gate}")
        return self.assay("submit", "my.yaml", *given, *words)

    def there(self, name: str) -> Path:
        return Path(self.environment["HOME"]) / "assay-runs" / "my-question" / name


@pytest.fixture
def person(ray_head, tmp_path):
    return Person(ray_head, tmp_path)


def decided(run: Path, kind: str) -> list[str]:
    return [record["trial"] for record in records.read_decisions(run).records if record["kind"] == kind]


def wait_until(true, limit_s: float = 60.0) -> None:
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_stopped_job_loses_nothing_and_goes_on_when_it_is_submitted_again(person, cluster, tmp_path):
    code, said = person.submit("--name", "first", "--detach")
    assert code == 0, said
    assert "sending this folder: 2 files" in said
    assert "assay attach my-question/first --address" in said
    there, home = person.there("first"), tmp_path / "runs" / "my-question" / "first"
    wait_until(lambda: (there / records.DECISIONS).exists() and len(decided(there, "done")) >= 3)

    code, said = person.assay("fetch", "my-question")  # while it goes on
    assert code == 0, said
    assert_whole(home)
    assert len(decided(home, "done")) >= 3
    code, said = person.submit("--name", "first", "--detach")  # which starts nothing
    assert "my-question/first is running already, as job assay-my-question-first-1" in said

    code, said = person.assay("stop", "my-question/first")
    assert (code, said.splitlines()[-1]) == (0, "job assay-my-question-first-1: stopped")
    before = decided(there, "done")
    person.gate.touch()
    code, said = person.submit("--name", "first")
    assert code == 0, said
    assert "is sent as job assay-my-question-first-2, which goes on with it" in said
    assert_done_once_and_as_undisturbed(person, home, before)
    assert re.search(r"first +assay-my-question-first-1 +stopped", person.assay("jobs")[1])

    code, said = person.submit("--name", "first")  # it is finished
    assert code == 0, said
    assert "it is finished; nothing runs again" in said
    assert_no_secret_is_left(person, cluster, there, home, said)


def assert_done_once_and_as_undisturbed(person: Person, home: Path, before: list[str]) -> None:
    attempts = Counter(decided(home, "started"))
    assert {attempts[trial] for trial in before} == {1}
    assert max(Counter(decided(home, "done")).values()) == 1
    code, said = person.assay("run", "my.yaml", "--inline", "--runs", "undisturbed")
    assert code == 0, said
    (undisturbed,) = (person.folder / "undisturbed" / "my-question").iterdir()
    assert sorted(decided(undisturbed, "done")) == sorted(decided(home, "done"))
    answer = Path("report", "answer.csv")
    assert (undisturbed / answer).read_text() == (home / answer).read_text()


def assert_no_secret_is_left(person: Person, cluster: Cluster, there: Path, home: Path, said: str) -> None:
    failed = [record for record in records.read_decisions(home).records if record["kind"] == "failed"]
    assert "cannot log in with <CANARY>" in failed[0]["error"]
    logs = "".join(cluster.log(job.id) for job in cluster.jobs())
    assert person.canary not in said + logs
    assert files_with("<CANARY>", there)  # the search finds what is there
    assert files_with(person.canary, there) == files_with(person.canary, home) == []


def test_a_token_is_needed(ray_head, tmp_path):
    command = ["assay", "submit", "quickstart", "--address", ray_head.address]
    environment = without_token(ray_head.environment) | {"HOME": str(tmp_path)}
    code, output = run(command, environment, tmp_path)
    assert code == 2
    assert "the cluster wants a token and there is none here" in output
    code, output = run(command, environment | {"RAY_AUTH_TOKEN": "wrong" * 10}, tmp_path)
    assert code == 2
    assert output.strip() == f"{ray_head.address}: the cluster does not accept the token in RAY_AUTH_TOKEN"


@pytest.fixture
def cluster(ray_head, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_head.token))
    return Cluster(ray_head.address)


def environment(folder: Path) -> dict[str, object]:
    return travel.code(folder) | needs().runtime_env()


STOPPED = """
import signal, sys, time
def finish(*_):
    time.sleep(4)  # longer than Ray gives by default
    print("finished in peace")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("ready")
time.sleep(60)
"""


@pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's client and a newer aiohttp
def test_a_stopped_job_has_time_to_finish(cluster, tmp_path):
    (tmp_path / "work.py").write_text(STOPPED)
    job = cluster.submit("python work.py", environment(tmp_path))
    said: list[str] = []

    def stop_when_ready(text: str) -> None:
        said.append(text)
        if "ready" in text:
            cluster._client.stop_job(job)

    assert cluster.follow(job, stop_when_ready) == "STOPPED"
    assert "finished in peace" in cluster.log(job)


def test_uploads_end_where_we_say(cluster, tmp_path, monkeypatch):
    limit = travel.LIMIT_BYTES
    monkeypatch.setattr(travel, "LIMIT_BYTES", 2 * limit)
    for size, fine in ((limit - 2**20, True), (limit + 1, False)):
        (tmp_path / "data").write_bytes(os.urandom(size))
        needs = {"working_dir": str(tmp_path)}
        if fine:
            assert cluster.wait(cluster.submit("true", needs)) == "SUCCEEDED"
        else:
            with pytest.raises(SubmitError, match="413"):
                cluster.submit("true", needs)


def test_a_run_that_is_not_there_cannot_come_home(cluster, tmp_path):
    with pytest.raises(SubmitError, match=r"cannot be brought home: /nowhere/demo/1: no such run"):
        submit.fetch(cluster, "/nowhere/demo/1", tmp_path, environment(tmp_path))
    assert list(tmp_path.iterdir()) == []

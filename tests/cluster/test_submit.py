import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from head import head

from cluster import submit
from cluster.submit import Cluster, SubmitError, checked_address, home_folder, run_folder

REPOSITORY = Path(submit.__file__).resolve().parents[1]

# --- without a cluster -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("http://127.0.0.1:8265/", "http://127.0.0.1:8265"),
        ("127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("head.example:80", "http://head.example:80"),
        ("https://ray.example", "https://ray.example"),
        ("https://ray.example/team/ray", "https://ray.example/team/ray"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_addresses_of_dashboards(address, url):
    assert checked_address(address) == url


@pytest.mark.parametrize(
    "address", ["", "auto", "local", "ray://head:10001", "ftp://x:1", "head", "http://", ":8265", "h:x", "h:99999"]
)
def test_other_addresses_are_refused_in_one_line(address):
    with pytest.raises(SubmitError, match=r"expected that of a dashboard, such as http://127.0.0.1:8265$") as error:
        checked_address(address)
    assert "\n" not in str(error.value)


def test_where_a_run_comes_home_to(tmp_path):
    assert home_folder("/home/ray/assay-runs/demo/20260101-120000", tmp_path) == tmp_path / "demo" / "20260101-120000"


@pytest.mark.parametrize("run", ["/", "/x", "", "..", "/a/..", "../..", "/a/b c", "/a/.hidden", "/a/$(id)"])
def test_a_run_folder_that_leads_elsewhere_is_refused(tmp_path, run):
    with pytest.raises(SubmitError, match="run folder: got"):
        home_folder(run, tmp_path)


def test_the_run_folder_is_found_in_the_log():
    assert run_folder("plan\nrun folder: /home/x y/runs/demo/1 \r\nmore: run folder: no\n") == "/home/x y/runs/demo/1"
    assert run_folder("a job that never got so far") is None


class Status(SimpleNamespace):
    def is_terminal(self) -> bool:
        return self.value in ("SUCCEEDED", "FAILED", "STOPPED")


class FakeJobs:
    """A job interface whose connections break off as told: how much of the log each of them gives."""

    def __init__(self, log, connections, status="SUCCEEDED") -> None:
        self.log, self.connections, self.status = log, list(connections), status

    async def tail_job_logs(self, _job):
        for piece in self.log[: self.connections.pop(0)]:
            yield piece
        if self.connections:
            raise RuntimeError("WebSocket connection closed unexpectedly")

    def get_job_status(self, _job):
        return Status(value="RUNNING" if self.connections else self.status)

    def get_job_info(self, _job):
        return SimpleNamespace(message="the job broke, last available logs (truncated):\nall of it again")


def following(monkeypatch, jobs) -> tuple[str, list[str]]:
    monkeypatch.setattr(submit, "_client", lambda _address: jobs)
    monkeypatch.setattr(submit, "POLL_S", 0.0)
    said: list[str] = []
    return Cluster("h:1").follow("job", said.append), said


def test_the_log_is_shown_once_although_connections_break(monkeypatch):
    log = ["one\n", "two\n", "three\n", "four\n"]
    status, said = following(monkeypatch, FakeJobs(log, [2, 0, 1, 3, 4]))
    assert status == "SUCCEEDED"
    assert "".join(said) == "".join(log)


def test_why_a_job_failed_is_said_without_its_log_again(monkeypatch):
    status, said = following(monkeypatch, FakeJobs(["log\n"], [1], "FAILED"))
    assert status == "FAILED"
    assert "".join(said) == "log\nthe job broke\n"


def test_nobody_at_the_address_is_one_line():
    with pytest.raises(SubmitError, match=r"^http://127.0.0.1:9: Failed to connect") as error:
        Cluster("127.0.0.1:9")
    assert "\n" not in str(error.value)


# --- with one --------------------------------------------------------------------------------------------------------

TRAINABLE = "def train(config):\n    return {'loss': (config['x'] - 1) ** 2}\n"
SWEEP = """
sweep: my-question
question: Where is the minimum?
trainable: my_model.py:train
factors: {kind: [a, b]}
nuisance: {x: {low: 0.0, high: 2.0}}
objective: {minimize: loss}
search: {sampler: random, points: 2}
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


@pytest.mark.cluster
def test_plain_ray_job_submit_works(ray_head):
    job = ["ray", "job", "submit", "--address", ray_head.address, "--working-dir", "."]
    command = [*job, "--", "assay", "run", "quickstart", "--scale", "smoke"]
    code, output = run(command, ray_head.environment, REPOSITORY)
    assert code == 0, output
    there = run_folder(output)
    assert there is not None, output
    assert Path(there).parent == Path(ray_head.environment["HOME"]) / "assay-runs" / "quickstart"
    assert_whole(Path(there))


@pytest.mark.cluster
def test_assay_submit_brings_the_report_home(ray_head, tmp_path):
    command = ["assay", "submit", "quickstart", "--scale", "smoke", "--address", ray_head.address]
    environment = ray_head.environment | {"HOME": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}
    code, output = run(command, environment, tmp_path)
    assert code == 0, output
    (home,) = (tmp_path / "runs" / "quickstart").iterdir()
    assert_whole(home)
    assert "the convolutional network is more accurate" in (home / "report" / "index.html").read_text()


@pytest.mark.cluster
def test_code_of_ones_own_travels_along(ray_head, tmp_path):
    (tmp_path / "my_model.py").write_text(TRAINABLE)
    (tmp_path / "my.yaml").write_text(SWEEP)
    command = ["assay", "submit", "my.yaml", "--address", ray_head.address.removeprefix("http://")]
    code, output = run(command, ray_head.environment, tmp_path)
    assert code == 0, output
    (home,) = (tmp_path / "runs" / "my-question").iterdir()
    assert_whole(home)


@pytest.mark.cluster
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


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's client and a newer aiohttp
def test_a_stopped_job_has_time_to_finish(cluster, tmp_path):
    (tmp_path / "work.py").write_text(STOPPED)
    job = cluster.submit("python work.py", submit.travel.runtime_env(tmp_path))
    said: list[str] = []

    def stop_when_ready(text: str) -> None:
        said.append(text)
        if "ready" in text:
            cluster._client.stop_job(job)

    assert cluster.follow(job, stop_when_ready) == "STOPPED"
    assert "finished in peace" in cluster.log(job)


@pytest.mark.cluster
def test_uploads_end_where_we_say(cluster, tmp_path, monkeypatch):
    limit = submit.travel.LIMIT_BYTES
    monkeypatch.setattr(submit.travel, "LIMIT_BYTES", 2 * limit)
    for size, fine in ((limit - 2**20, True), (limit + 1, False)):
        (tmp_path / "data").write_bytes(os.urandom(size))
        needs = {"working_dir": submit.travel.runtime_env(tmp_path)["working_dir"]}
        if fine:
            assert cluster.wait(cluster.submit("true", needs)) == "SUCCEEDED"
        else:
            with pytest.raises(SubmitError, match="413"):
                cluster.submit("true", needs)


@pytest.mark.cluster
def test_a_run_that_is_not_there_cannot_come_home(cluster, tmp_path):
    with pytest.raises(SubmitError, match=r"cannot be brought home: /nowhere/demo/1: no run folder here"):
        cluster.fetch("/nowhere/demo/1", tmp_path, submit.travel.runtime_env(tmp_path))
    assert list(tmp_path.iterdir()) == []

"""The job interface without a cluster: addresses, and logs whose connections break."""

from types import SimpleNamespace

import pytest

from cluster import jobs
from cluster.jobs import Cluster, Job, SubmitError, checked_address
from cluster.needs import needs
from cluster.submit import Order, find, home_folder, run_folder, submit


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


def following(monkeypatch, fake) -> tuple[str, list[str]]:
    monkeypatch.setattr(jobs, "_client", lambda _address: fake)
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
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


# --- which job a submission starts, and which one a name means -------------------------------------------------------


@pytest.mark.parametrize(("refusals", "patience_s", "fine"), [(2, 30.0, True), (2, 0.0, False)])
def test_a_head_that_has_just_begun_is_waited_for(monkeypatch, refusals, patience_s, fine):
    answers = ["No available agent to submit job, please try again later."] * refusals

    def submit_job(**_):
        if answers:
            raise RuntimeError(f"Request failed with status code 500: {answers.pop()}.")
        return "job"

    monkeypatch.setattr(jobs, "_client", lambda _address: SimpleNamespace(submit_job=submit_job))
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    monkeypatch.setattr(jobs, "AGENT_S", patience_s)
    if fine:
        assert Cluster("http://h:1").submit("true", {}) == "job"
    else:
        with pytest.raises(SubmitError, match=r"^http://h:1: the head can start no jobs; .*--dashboard-agent-listen"):
            Cluster("http://h:1").submit("true", {})


class FakeCluster:
    """Jobs that a cluster knows, and what it is given."""

    address = "http://head:8265"

    def __init__(self, *known: Job) -> None:
        self.known, self.sent = list(known), []

    def jobs(self):
        return self.known

    def submit(self, command, runtime_env, **options):
        self.sent.append((command, runtime_env, options))
        return options["submission_id"]


def job(number: int, status: str, run: str = "s/first") -> Job:
    return Job(f"assay-{run.replace('/', '-')}-{number}", status, run, started=number, ended=0.0, runtime_env={})


def order(tmp_path, **needed):
    (tmp_path / "s.yaml").write_text("sweep: s\n")
    sweep = str(tmp_path / "s.yaml")
    return Order("s/first", [sweep, "--name", "first"], "sweep: s\n", needs(**needed), tmp_path)


def test_a_first_submission_names_its_run(tmp_path):
    cluster, said = FakeCluster(), []
    assert submit(order(tmp_path), cluster, said.append) == "assay-s-first-1"
    ((command, environment, options),) = cluster.sent
    assert command == "python -m sweeps.cli run s.yaml --name first"
    assert environment["working_dir"] == str(tmp_path)
    assert options["metadata"] == {"assay-run": "s/first"}
    assert "sending this folder: 1 files" in said[0]


@pytest.mark.parametrize("ended", ["STOPPED", "FAILED", "SUCCEEDED"])
def test_after_the_last_job_of_a_run_comes_the_next(tmp_path, ended):
    cluster = FakeCluster(job(1, "STOPPED"), job(7, ended), job(30, "RUNNING", run="s/other"))
    assert submit(order(tmp_path), cluster, str) == "assay-s-first-8"


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_a_run_that_has_a_job_gets_no_other(tmp_path, status):
    cluster = FakeCluster(job(1, "STOPPED"), job(2, status))
    assert submit(order(tmp_path), cluster, str) == "assay-s-first-2"
    assert cluster.sent == []


def test_into_an_image_goes_no_file(tmp_path):
    cluster = FakeCluster()
    submit(order(tmp_path, image="me/assay:1", env=["ASSAY_RUNS=s3://b/r"]), cluster, str)
    ((command, environment, _),) = cluster.sent
    assert set(environment) == {"image_uri", "env_vars"}
    assert command.endswith("python -m sweeps.cli run sweep.yaml --name first")


def test_a_name_means_a_job_or_the_last_one_of_a_run_or_a_sweep():
    others = (job(3, "FAILED", run="s/other"), job(9, "RUNNING", run=""))
    cluster = FakeCluster(job(1, "STOPPED"), job(2, "RUNNING"), *others)
    assert find(cluster, "assay-s-first-1").status == "STOPPED"
    assert find(cluster, "s/first").status == "RUNNING"
    assert find(cluster, "s").run == "s/other"
    with pytest.raises(SubmitError, match=r"^t: http://head:8265 knows no such job or run; `assay jobs` lists them$"):
        find(cluster, "t")

"""What Ray's metrics agent serves of a run, as Prometheus would read it."""

from __future__ import annotations

import re
import time
import urllib.request

import pytest
from fakes import FakeSource, order

from cluster import tune
from cluster.placement import Ask


def served(names: str) -> dict[str, float]:
    """The values at the endpoint of this node, by name and label."""
    import ray

    (node,) = ray.nodes()
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as answer:
        text = answer.read().decode()
    lines = re.findall(rf"^({names})\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {" ".join([name, *re.findall('outcome="([a-z]+)"', labels)]): float(value) for name, labels, value in lines}


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_prometheus_sees_what_trials_do(files, tmp_path):
    orders = [order(f"t{n}", "count", {"steps": 4}) for n in range(3)]
    orders += [order("bad", "fail"), order("die", "die", folder=str(tmp_path / "die"))]
    run = tmp_path / "runs" / "sweep" / "name"
    run.mkdir(parents=True)
    tune.run(FakeSource(orders), files, resources=Ask(), folder=run)
    expected = {
        "ray_assay_trials_running": 0,
        "ray_assay_attempts_ended_total done": 4,
        "ray_assay_attempts_ended_total failed": 1,
        "ray_assay_attempts_ended_total lost": 1,
        "ray_assay_retries_total": 1,
        "ray_assay_reports_total": 18,
    }
    found, until = {}, time.monotonic() + 60
    while found != expected and time.monotonic() < until:  # the agent is told every few seconds, of what has changed
        time.sleep(0.5)
        found = served("ray_assay_.*?")
    assert found == expected

"""What a plan says about a cluster: one that a file describes, before there is one."""

from __future__ import annotations

import pytest
from prompt import in_one_line

from cluster.nodes import Machines, one_by_one, shares, total
from cluster.placement import Ask, fits

NODES = """
nodes:
  - {name: head, cpus: 2}
  - {name: big, count: 3, cpus: 8, gpus: 2, memory: 64GB, accelerator: H100, custom: {slot: 1}}
"""


@pytest.mark.parametrize(
    ("ask", "rows"),
    [
        (Ask(), [("big", 3, 8, ("CPU",)), ("head", 1, 2, ("CPU",))]),
        (Ask(gpus=0.5), [("big", 3, 4, ("GPU",)), ("head", 1, 0, ("GPU",))]),
        (Ask(cpus=4, gpus=1), [("big", 3, 2, ("CPU", "GPU")), ("head", 1, 0, ("CPU", "GPU"))]),
        (Ask(memory=20 * 10**9), [("big", 3, 3, ("memory",)), ("head", 1, 0, ("memory",))]),
        (Ask(custom={"slot": 0.5}, workers=5), [("big", 3, 2, ("slot",)), ("head", 1, 0, ("slot",))]),
    ],
)
def test_each_kind_of_node_with_what_binds(ask, rows):
    has = {"CPU": 8.0, "GPU": 2.0, "memory": 64e9, "accelerator_type:H100": 1.0, "slot": 1.0}
    machines = [Machines("head", {"CPU": 2.0}), Machines("big", has, 2), Machines("other", has)]
    found = shares(ask, machines)
    assert [(s.machines.name, s.machines.count, s.processes, s.binds) for s in found] == rows
    assert total(found) // max(1, ask.workers) == fits(ask, one_by_one(machines))


def test_plan_says_what_runs_where(user):
    user.bowl(resources="{gpus: 0.25, memory: 20GB, accelerator: H100}")
    user.write("nodes.yaml", NODES)
    said = user.assay("plan", "bowl.yaml", "nodes.yaml", "--cluster")
    assert said.code == 0
    assert "1 CPU, 0.25 GPU, 20 GB memory, on H100; 9 at a time" in in_one_line(said.out)
    row = next(line for line in said.out.splitlines() if "3 like big" in line)
    assert row.split()[-3:] == ["3", "9", "memory"]
    assert not user.runs


def test_workers_that_fit_nowhere_in_full_are_counted(user):
    user.bowl(resources="{workers: 5, gpus: 1}")
    user.write("nodes.yaml", NODES)
    said = user.assay("plan", "bowl.yaml", "nodes.yaml")
    assert "1 trials of 5 workers; 1 place left" in in_one_line(said.out)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("{gpus: 4}", "got 1 CPU, 4 GPUs per process, which no machine of the cluster has"),
        ("{accelerator: A100}", "3 x 8 CPUs (H100), too few of A100"),
        ("{memory: 1TB}", "1 x 2 CPUs, 0 GB memory, too few of memory"),
        ("{workers: 9, gpus: 1}", "got 9 workers with 1 CPU, 1 GPU each, the cluster has room for 6"),
    ],
)
def test_what_can_never_be_placed_is_refused(user, resources, words):
    user.bowl(resources=resources)
    user.write("nodes.yaml", NODES)
    said = user.assay("plan", "bowl.yaml", "nodes.yaml", "--cluster")
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)
    assert words in said.err


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nodes: [{cpu: 2}]", "nodes.yaml:1:10: unknown key: got 'cpu'; did you mean 'cpus'?"),
        ("nodes: [{cpus: 2, count: 0}]", "nodes.yaml:1:26: out of range: got 0, expected at least 1"),
        ("nodes: []", "nodes.yaml:1:8: out of range: got [], expected 1 or more entries"),
        ("node: [{cpus: 2}]", "nodes.yaml:1:1: unknown key: got 'node'; did you mean 'nodes'?"),
        ("nodes: [{memory: lots}]", "nodes.yaml:1:18: not a size: got 'lots', expected a number of bytes above 0"),
    ],
)
def test_mistakes_in_a_file_of_nodes(user, text, line):
    user.bowl()
    user.write("nodes.yaml", text)
    said = user.assay("plan", "bowl.yaml", "nodes.yaml")
    assert said.code == 2
    assert line in said.err


def test_without_the_file(user):
    user.bowl()
    said = user.assay("plan", "bowl.yaml", "node.yaml", "--cluster")
    assert said.code == 2
    assert "node.yaml" in said.err


@pytest.mark.cluster
def test_a_run_that_can_never_be_placed_leaves_no_folder(user):
    user.bowl(resources="{custom: {slot: 1}}")
    said = user.process("run", "bowl.yaml")
    assert said.code == 2
    assert said.lines[-1].startswith("resources: got 1 CPU, 1 slot per process, which no machine of the cluster has")
    assert not user.runs

"""How checkpoints are asked for in a sweep, and the room that they may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.disk import State, doomed, list_states, rule
from sweeps.spec import Sweep
from trainables.keeping import Keep

SLOW = """
import time

def train(config, trial):
    first = trial.restored["step"] + 1 if trial.restored else 1
    for step in range(first, 9):
        trial.checkpoint(lambda step=step: {"step": step, "weights": "x" * 10_000})
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + abs(step - 4)}
"""


def state(trial, step, size=10, place="trials"):
    return State(None, place, trial, step, size, float(step))


def names(states):
    return [(found.trial, found.step) for found in states]


def test_the_least_needed_go_first():
    states = [
        *(state("running", step) for step in (1, 2, 3)),
        *(state("confirmed", step) for step in (4, 5)),
        *(state("tuned", step) for step in (6, 7)),
        state("running", 8, place="milestones"),
    ]
    phases = {"confirmed": "confirm", "tuned": "tune"}
    order = [("confirmed", 4), ("tuned", 6), ("running", 1), ("running", 8), ("tuned", 7)]
    for count in range(6):
        assert names(doomed(states, 80 - 10 * count, phases)) == order[:count]
    assert names(doomed(states, 1, phases)) == order


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(1, 100)), unique_by=lambda s: s[:2]),
    st.integers(0, 500),
)
def test_what_is_needed_always_stays_and_no_more_goes_than_has_to(found, budget):
    states = [state(*one) for one in found]
    phases = {"b": "confirm", "c": "tune"}
    gone = doomed(states, budget, phases)
    for trial, least in (("a", 2), ("b", 1)):
        newest = sorted((s.step for s in states if s.trial == trial), reverse=True)[:least]
        assert not {(trial, step) for step in newest} & set(names(gone))
    left = sum(s.size_bytes for s in states) - sum(s.size_bytes for s in gone)
    assert not gone or left + gone[-1].size_bytes > budget


BASE = {"sweep": "s", "question": "?", "trainable": "t", "objective": {"maximize": "accuracy"}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Keep(last=2)),
        ({"keep": "last", "count": 1}, Keep(last=1)),
        ({"keep": "best", "count": 3}, Keep(last=1, best=3, metric="accuracy", maximize=True)),
        ({"keep": "every", "steps": 100}, Keep(last=1, every_steps=100)),
    ],
)
def test_what_a_sweep_asks_for_is_the_rule(asked, expected):
    assert rule(Sweep.model_validate(BASE | {"checkpoints": asked})) == expected


@pytest.mark.parametrize(
    ("text", "size"), [("20GB", 20 * 10**9), ("1.5 MiB", 3 * 2**19), ("7", 7), ("512 kB", 512_000), ("2TiB", 2**41)]
)
def test_sizes_are_read(text, size):
    assert Sweep.model_validate(BASE | {"checkpoints": {"disk": text}}).checkpoints.disk == size


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{disk: 20Gb}", ["not a size", "20GB"]),
        ("{disk: 0}", ["not a size"]),
        ("{disk: [1]}", ["not a size"]),
        ("{disk: true}", ["not a size"]),
        ("{keep: newest}", ["unknown value", "'newest'"]),
        ("{keep: every}", ["without steps"]),
        ("{steps: 10}", ["with steps"]),
        ("{count: 0}", ["got 0", "at least 1"]),
        ("{kept: last}", ["unknown key", "'keep'"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(user, asked, words):
    user.bowl(checkpoints=asked)
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 2
    assert all(word in said.err for word in words), said.err
    assert not user.runs


def steps(run):
    found = {}
    for one in list_states(run):
        found.setdefault(one.trial, []).append(one.step)
    return {trial: sorted(numbers) for trial, numbers in found.items()}


@pytest.mark.parametrize(
    ("asked", "trials", "kept"),
    [
        ("{}", 4, [8]),  # quick trials save at their end only
        ("{keep: every, steps: 3}", 4, [3, 6, 8]),
        ("{keep: every, steps: 3, of: all}", 10, [3, 6, 8]),
        ("{keep: every, steps: 3, disk: 60kB}", 4, None),
    ],
)
def test_what_a_run_leaves(user, asked, trials, kept):
    user.reports = False
    user.bowl(trainable="slow.py:train", checkpoints=asked)
    user.write("slow.py", SLOW)
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    left = steps(user.run)
    assert len(left) == trials
    if kept:
        assert all(numbers == kept for numbers in left.values())
    else:
        assert all(numbers[-1] == 8 for numbers in left.values())
        assert sum(one.size_bytes for one in list_states(user.run)) <= 60_000


def test_a_budget_that_cannot_be_kept_is_said_once(user):
    user.reports = False
    user.bowl(trainable="slow.py:train", checkpoints="{disk: 1kB}")
    user.write("slow.py", SLOW)
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 0
    assert (said.out + said.err).count("cannot be spared") == 1
    assert len(steps(user.run)) == 4

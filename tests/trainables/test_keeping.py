"""The rules by which states are kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables import checkpoint
from trainables.keeping import Keep, Stored, obsolete

LOSSES = {1: 0.5, 2: 0.1, 3: 0.4, 4: 0.2, 5: 0.9}


@pytest.mark.parametrize(
    ("rule", "running", "kept"),
    [
        (Keep(), True, {4, 5}),
        (Keep(last=1), True, {4, 5}),
        (Keep(last=1), False, {5}),
        (Keep(last=3), False, {3, 4, 5}),
        (Keep(last=1, best=1), False, {2, 5}),
        (Keep(last=1, best=2), True, {2, 4, 5}),
        (Keep(last=1, best=2, maximize=True), False, {1, 5}),
        (Keep(last=1, every_steps=2), False, {2, 4, 5}),
        (Keep(last=1, every_steps=100), False, {5}),
    ],
)
def test_what_stays(rule, running, kept):
    states = [Stored(step, loss) for step, loss in LOSSES.items()]
    assert set(LOSSES) - obsolete(states, rule, running=running) == kept


def test_states_of_unknown_value_are_not_the_best():
    states = [Stored(1, None), Stored(2, 0.3), Stored(3, float("nan")), Stored(4, None)]
    assert obsolete(states, Keep(last=1, best=1), running=False) == {1, 3}


@given(
    st.lists(st.tuples(st.integers(0, 50), st.none() | st.floats()), unique_by=lambda pair: pair[0]),
    st.builds(Keep, last=st.integers(0, 4), best=st.integers(0, 3), every_steps=st.integers(0, 7)),
    st.booleans(),
)
def test_the_newest_always_stay_and_a_second_look_removes_nothing(pairs, rule, running):
    states = [Stored(*pair) for pair in pairs]
    gone = obsolete(states, rule, running=running)
    newest = sorted((state.step for state in states), reverse=True)[: 2 if running else 1]
    assert not gone & set(newest)
    left = [state for state in states if state.step not in gone]
    assert not obsolete(left, rule, running=running)


def test_files_follow_the_rule(tmp_path):
    rule = Keep(last=1, best=1, metric="loss")
    for step, loss in LOSSES.items():
        checkpoint.save(tmp_path, step, {"weights": torch.ones(2)}, rule, loss)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == [f"checkpoint-{n}" for n in (2, 4, 5)]
    checkpoint.tidy(tmp_path, rule, running=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"checkpoint-{n}.{e}" for n in (2, 5) for e in ("json", "pt")
    ]

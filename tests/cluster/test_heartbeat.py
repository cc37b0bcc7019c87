"""The board that knows who was heard of, by a clock of the test. Real processes that hang are in test_guard.py."""

from __future__ import annotations

import pytest

from cluster.heartbeat import Board


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("cluster.heartbeat.time.monotonic", lambda: now[0])
    return now


def test_silence_counts_from_the_last_sign_of_life(clock):
    board = Board()
    board.hear("a", ("node", 1))
    board.hear("b")
    clock[0] += 3
    board.hear("b", ("node", 2))
    clock[0] += 2
    assert board.silent(4) == {"a": ("", [("node", 1)])}
    assert board.silent(1) == {"a": ("", [("node", 1)]), "b": ("", [("node", 2)])}
    assert board.silent(6) == {}


def test_where_it_stands_is_forgotten_when_it_goes_on(clock):
    board = Board()
    board.hear("a")
    board.stands("a", "in a loop")
    clock[0] += 2
    assert board.silent(1) == {"a": ("in a loop", [])}
    board.hear("a")
    clock[0] += 2
    assert board.silent(1) == {"a": ("", [])}


def test_a_place_that_is_over_is_never_silent_again(clock):
    board = Board()
    board.hear("a")
    board.forget("a")
    board.stands("a", "late")
    clock[0] += 2
    assert board.silent(1) == {}

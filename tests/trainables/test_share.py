"""The share of a GPU's memory, told to a device that writes down what it is told."""

from __future__ import annotations

import pytest

from trainables import share


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setitem(share._held, "share", 1.0)
    return []


@pytest.mark.parametrize(("gpus", "expected"), [(0.25, [0.25]), (0.999, [0.999]), (1, []), (4, []), (0, [])])
def test_a_process_is_held_to_its_share(told, gpus, expected):
    share.cap(gpus, told.append)
    assert told == expected
    assert share.held() == (expected[0] if expected else 1.0)


def test_a_process_that_is_used_again_gets_what_its_next_trial_may(told):
    for gpus in (0.25, 0.5, 1, 1, 0):
        share.cap(gpus, told.append)
    assert told == [0.25, 0.5, 1.0]


def test_a_device_that_refuses_is_heard(told):
    def refuse(_):
        raise RuntimeError("no device")

    with pytest.raises(RuntimeError, match="no device"):
        share.cap(0.5, refuse)

"""Strangers' files cannot crash Assay or make it run something: a short look at what the nightly run does at length."""

from __future__ import annotations

import pytest
from fuzz import CHUNKS, Finding, read
from targets import Checkpoint

FEW = {"spec": 150, "run": 120, "checkpoint": 3000}


@pytest.mark.parametrize("name", CHUNKS)
def test_no_bad_input_raises_anything_but_our_own_errors(name):
    findings = read(name, range(FEW[name]))
    assert not findings, findings[0].trace


def test_a_target_that_raises_is_a_finding(monkeypatch):
    def broken(self, rng):
        raise KeyError("odd")

    monkeypatch.setattr(Checkpoint, "__call__", broken)
    (found,) = read("checkpoint", range(5, 6))
    assert found == Finding("checkpoint", 5, found.trace)
    assert "KeyError: 'odd'" in found.trace

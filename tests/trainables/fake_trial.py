# ruff: noqa: ARG002
"""A trial without a framework around it, and a loop that drives a trainable as the framework does."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from trainables.api import Metrics, RunOne, State
from trainables.seeding import Streams


class FakeTrial:
    """Satisfies ``trainables.api.Trial``. ``saved`` is the last checkpoint, as it comes back from a disk."""

    id = "trial"
    device = "cpu"

    def __init__(self, seed: int = 0, restored: State | None = None, rank: int = 0, world_size: int = 1) -> None:
        self.seed = seed
        self.restored = restored or None
        self.rank = rank
        self.world_size = world_size
        self.streams = Streams(seed)
        self.offered: Callable[[], State] = dict
        self.saved: State = {}
        self.notes: dict[str, Any] = {}
        self.shown: list[str] = []

    def checkpoint(self, state: Callable[[], State]) -> None:
        self.offered = state

    def artifact(self, spec: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        folder = Path(mkdtemp())
        build(folder)
        return folder

    def figure(self, tag: str, figure: Any) -> None:
        self.shown.append(tag)

    def image(self, tag: str, pixels: Any) -> None:
        self.shown.append(tag)

    def note(self, key: str, value: Any) -> None:
        self.notes[key] = value


def drive(run_one: RunOne, config: Any, trial: FakeTrial, num_reports: int | None = None) -> list[Metrics]:
    """The first reports, or all. After each one the state on offer is saved."""
    reports = []
    for report in islice(run_one(config, trial), num_reports):
        reports.append(report)
        trial.saved = through_disk(trial.offered())
    return reports


def through_disk(state: State) -> State:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)

# ruff: noqa: ARG002
"""Trials without a framework around them, and a loop that drives a trainable as the framework does."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from trainables.api import Diverged, Metrics, Run, State
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
        self.wanted = True
        self.finished = False
        self.pulses = 0

    def pulse(self) -> None:
        self.pulses += 1

    def finish(self) -> None:
        self.finished = True

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


def drive(run: Run, config: Any, trial: FakeTrial, num_reports: int | None = None) -> list[Metrics]:
    """The first reports of one trial, or all. After each one the state on offer is saved."""
    return drive_all(run, [config], [trial], num_reports)[0]


def drive_all(
    run: Run, configs: Sequence[Any], trials: Sequence[FakeTrial], num_reports: int | None = None
) -> list[list[Metrics]]:
    """The first reports of each trial of a cohort, or all. One that has diverged or made so many is dropped."""
    found: list[list[Metrics]] = [[] for _ in trials]
    for reports in run(configs, trials):
        for number, report in reports.items():
            trial = trials[number]
            assert trial.wanted, "it reports for a trial that has ended"
            if isinstance(report, Diverged):
                if len(trials) == 1:
                    raise report
                trial.wanted = False
                continue
            found[number].append(report)
            trial.saved = through_disk(trial.offered())
            trial.wanted = not trial.finished and len(found[number]) != num_reports
        if not any(trial.wanted for trial in trials):
            break
    return found


def through_disk(state: State) -> State:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)

"""Times one trial per cell in this process, briefly, for the estimate of ``assay plan --probe``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sweeps import plan, space
from sweeps.resolve import Resolved
from trainables import registry
from trainables.api import Nowhere, Order, Outcome
from trainables.attempt import Attempt
from trainables.registry import Trainable

_LONG_ENOUGH_S = 3.0  # of running, after which the rest is extrapolated


def probe(resolved: Resolved, say: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """Cell -> estimated seconds per trial, at the middle of its space.

    A trainable with a ``steps`` function runs for a few seconds and is extrapolated; another runs to its end.
    """
    sweep = resolved.sweep
    folder = Path(resolved.search_path).resolve()
    trainable = registry.find(sweep.trainable, folder)
    found: dict[str, float] = {}
    for cell in space.cells(sweep):
        point = plan.middle(space.parameters(sweep, cell))
        config = trainable.resolve(space.config(sweep, cell, point))
        found[cell.id] = _time(trainable, config, folder)
        say(f"probe: {cell.id} takes about {found[cell.id]:.2f} s per trial")
    return found


def _time(trainable: Trainable, config: dict[str, object], folder: Path) -> float:
    last_step = trainable.steps(trainable.build(config)) if trainable.steps else None
    with tempfile.TemporaryDirectory() as scratch:
        order = Order(
            trial="probe",
            trainable=trainable.reference,
            config=config,
            seed=0,
            folder=f"{scratch}/trial",
            store=f"{scratch}/store",
            search_path=str(folder),
        )
        began = time.perf_counter()
        attempt = Attempt(order, Nowhere())
        for step, _ in attempt:
            seconds = time.perf_counter() - began
            if last_step and seconds >= _LONG_ENOUGH_S:
                attempt.close(Outcome.CANCELLED)
                return seconds * last_step / max(step, 1)
        if attempt.ending.outcome is not Outcome.DONE:
            raise ProbeError(f"the probe ended as {attempt.ending.outcome}: {attempt.ending.error.strip()}")
    return time.perf_counter() - began


class ProbeError(Exception):
    """A probe whose trial did not finish."""

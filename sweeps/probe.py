"""Times the trials of each cell in this process, briefly, for the estimate of ``assay plan --probe``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.placement import fair_share
from sweeps import plan, samplers, space
from sweeps.resolve import Resolved
from sweeps.run import cohort_sizes, stacks
from sweeps.space import Cell
from sweeps.spec import Sweep
from sweeps.study import budget
from trainables import registry, sizing
from trainables.api import Nowhere, Order, Outcome
from trainables.cohort import Cohort
from trainables.registry import Trainable

_LONG_ENOUGH_S = 3.0  # of running, after which the rest is extrapolated


def probe(resolved: Resolved, say: Callable[[str], None] = lambda _: None) -> dict[str, float]:
    """Cell -> estimated seconds per trial, at the middle of its space; its share, where trials are stacked.

    A trainable with a ``steps`` function runs for a few seconds and is extrapolated; another runs to its end.
    """
    sweep, folder = resolved.sweep, Path(resolved.search_path).resolve()
    trainable = registry.find(sweep.trainable, folder)
    found: dict[str, float] = {}
    for config, cells in _alike(sweep, trainable):
        with tempfile.TemporaryDirectory() as scratch:
            number = _stacked(sweep, cells) if stacks(sweep, trainable) else 1
            orders = [_order(sweep, config, seed, folder, scratch) for seed in range(number)]
            seconds = _time(trainable, orders[: _size(sweep, trainable, orders)])
        for cell in cells:
            found[cell.id] = seconds
            say(f"probe: {cell.id} takes about {seconds:.2f} s per trial")
    return found


def _alike(sweep: Sweep, trainable: Trainable) -> list[tuple[dict[str, Any], list[Cell]]]:
    """The cells whose trials are stacked together, with the config in the middle of the first one's space."""
    groups: dict[str, tuple[dict[str, Any], list[Cell]]] = {}
    for cell in space.cells(sweep):
        point = plan.middle(space.parameters(sweep, cell))
        config = trainable.resolve(space.config(sweep, cell, point))
        shape = trainable.shape(config) if stacks(sweep, trainable) else cell.id
        groups.setdefault(shape, (config, []))[1].append(cell)
    return list(groups.values())


def _stacked(sweep: Sweep, cells: Sequence[Cell]) -> int:
    """How many trials of these cells the search gives out at once for one process."""
    points = [budget(sweep, space.cells(sweep), cell) for cell in cells]
    at_once = [min(n, max(samplers.STARTUP, samplers.batch(sweep.search, n))) for n in points]
    most = sweep.search.concurrent or max(at_once)
    ready = sweep.seeds.tune * sum(min(n, most) for n in at_once)
    processes = plan.fitting(sweep)
    return fair_share(ready, ready, processes, processes)


def _order(sweep: Sweep, config: Mapping[str, Any], seed: int, folder: Path, scratch: str) -> Order:
    return Order(
        trial=f"probe-{seed}",
        trainable=sweep.trainable,
        config=config,
        seed=seed,
        folder=f"{scratch}/{seed}",
        store=f"{scratch}/store",
        threads=max(1, int(sweep.resources.cpus)),
        search_path=str(folder),
    )


def _size(sweep: Sweep, trainable: Trainable, orders: Sequence[Order]) -> int:
    """How many of them are stacked."""
    sizes = cohort_sizes(sweep, trainable)
    most = min(len(orders), sizes.most(orders[0]))
    if sizes.of(orders[0]) or most <= sizing.SMALLEST:
        return most
    return sizing.best_size(orders[:most]) or most


def _time(trainable: Trainable, orders: Sequence[Order]) -> float:
    """Seconds that each of these trials takes when they are stacked."""
    last_step = trainable.steps(trainable.build(orders[0].config)) if trainable.steps else None
    if len(orders) > 1:
        _warm_up(orders[0])
    began, start, step = time.perf_counter(), (0.0, 0), 0  # start: seconds until the first report, and its step
    cohort = Cohort(orders, lambda _: Nowhere())
    for found in cohort:
        seconds = time.perf_counter() - began
        for ending in found.endings.values():
            if ending.outcome is not Outcome.DONE:
                raise ProbeError(f"the probe ended as {ending.outcome}: {ending.error.strip()}")
        step = max([step, *(step for _, step, _ in found.reports)])
        start = start if start[1] else (seconds, step)
        if last_step and step > start[1] and seconds >= _LONG_ENOUGH_S and not cohort.over:
            cohort.close(Outcome.CANCELLED)
            rest = (seconds - start[0]) / (step - start[1]) * (last_step - step)
            return (seconds + rest) / len(orders)
    return (time.perf_counter() - began) / len(orders)


def _warm_up(order: Order) -> None:
    """Let this process import and read what it does once for all its trials."""
    cohort = Cohort([order], lambda _: Nowhere())
    next(cohort, None)
    cohort.close(Outcome.PRUNED)  # with nothing left of it


class ProbeError(Exception):
    """A probe whose trial did not finish."""

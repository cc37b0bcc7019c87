"""How many trials of one shape are best stacked in this process: found by a short trial run of several sizes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from trainables import registry, share
from trainables.ambient import ambient
from trainables.api import Nowhere, Order
from trainables.endings import is_out_of_memory
from trainables.member import Context

SMALLEST = 8  # that is worth a trial run; fewer are stacked as they are
_GAIN = 1.05  # in steps per second, below which a double size is not worth its memory
_MEMORY = 0.8  # share of the memory that a cohort may take
_WARM_UP, _STEPS, _LONG_ENOUGH_S = 2, 5, 0.1
_BUDGET_S = 6.0


class _Enough(BaseException):
    """Ends a trial run."""


class _Watch:
    """Times training steps, and ends the run when there were enough to tell how long one takes."""

    def __init__(self) -> None:
        self._steps, self._began, self._last = 0, 0.0, 0.0
        self.step_s = float("inf")  # of the quickest step: others may have been disturbed

    def pulse(self) -> None:
        now, self._steps = time.perf_counter(), self._steps + 1
        if self._steps == _WARM_UP:
            self._began = now
        if self._steps > _WARM_UP:
            self.step_s = min(self.step_s, now - self._last)
            if now - self._began > (_LONG_ENOUGH_S if self._steps >= _WARM_UP + _STEPS else _BUDGET_S):
                raise _Enough
        self._last = now


def best_size(orders: Sequence[Order]) -> int | None:
    """The number of trials that is quickest per trial; None if that is all of them, and more might be quicker still.

    It doubles until the steps of all members per second have stopped growing twice, or the memory would not hold twice
    as many.
    """
    began, size = time.perf_counter(), min(SMALLEST, len(orders))
    best, fastest, slower = 0, 0.0, 0
    while slower < 2:
        if not (speed := _speed(orders[:size])):
            return best or _largest_that_runs(orders[: size // 2])
        gained = speed >= _GAIN * fastest
        slower = 0 if gained else slower + 1
        best, fastest = (size, speed) if gained else (best, fastest)
        if size == len(orders):
            return None if best == size else best
        if 2 * memory_share(orders[0].gpus > 0) > _MEMORY or time.perf_counter() - began > _BUDGET_S:
            break
        size = min(2 * size, len(orders))
    return best


def _largest_that_runs(orders: Sequence[Order]) -> int:
    return len(orders) if len(orders) == 1 or _speed(orders) else _largest_that_runs(orders[: len(orders) // 2])


def _speed(orders: Sequence[Order]) -> float:
    """Training steps of all members together in a second; 0 if they do not fit, or raise."""
    watch = _Watch()
    try:
        _run(orders, watch)
    except _Enough:
        pass
    except Exception as error:  # noqa: BLE001 - then it is raised again when it counts
        is_out_of_memory(error)
        return 0.0
    return len(orders) / watch.step_s


def _run(orders: Sequence[Order], watch: _Watch) -> None:
    first = orders[0]
    trainable = registry.find(first.trainable, first.search_path or ".")
    trials = [Context(order, Nowhere(), rank=0, world_size=1, pulse=watch.pulse) for order in orders]
    with ambient(first.seed, first.threads):
        configs = [trainable.build(order.config) for order in orders]
        for _ in trainable.run(configs, trials):
            watch.pulse()
            for trial in trials:
                trial.wanted = not trial.finished


def memory_share(gpu: bool) -> float:
    """The largest share of the memory that it may use, which this process has held so far."""
    if gpu:
        cuda: Any = sys.modules["torch"].cuda
        return cuda.max_memory_allocated() / (cuda.mem_get_info()[1] * share.held())
    import resource

    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak_bytes / (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

"""How many trials of one shape are best stacked in this process: found by a short trial run of several sizes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from trainables import registry
from trainables.ambient import ambient
from trainables.api import Nowhere, Order
from trainables.cohort import is_out_of_memory
from trainables.member import Context

SMALLEST = 8  # that is worth a trial run; fewer are stacked as they are
_GAIN = 1.1  # in steps per second, below which a double size is not worth its memory
_MEMORY = 0.8  # share of the memory that a cohort may take
_WARM_UP, _STEPS, _LONG_ENOUGH_S = 2, 5, 0.1
_BUDGET_S = 6.0


class _Enough(BaseException):
    """Ends a trial run."""


class _Watch:
    """Counts training steps, and ends the run when there were enough to tell how long one takes."""

    def __init__(self) -> None:
        self._steps, self._began = 0, 0.0
        self.step_s = float("inf")

    def pulse(self) -> None:
        self._steps += 1
        now = time.perf_counter()
        if self._steps == _WARM_UP:
            self._began = now
        steps = self._steps - _WARM_UP
        if steps > 0:
            self.step_s = (now - self._began) / steps
        if (steps >= _STEPS and now - self._began >= _LONG_ENOUGH_S) or now - self._began > _BUDGET_S:
            raise _Enough


def best_size(orders: Sequence[Order]) -> int | None:
    """The number of trials that is quickest per trial; None if that is all of them, and more might be quicker still.

    It doubles until the steps of all members per second stop growing, or the memory would not hold twice as many.
    """
    began, size, best, fastest = time.perf_counter(), min(SMALLEST, len(orders)), 1, 0.0
    while True:
        speed = _speed(orders[:size])
        if speed < _GAIN * fastest:
            return best
        best, fastest = size, speed
        if size == len(orders):
            return None
        if 2 * memory_share(orders[0].gpus > 0) > _MEMORY or time.perf_counter() - began > _BUDGET_S:
            return best
        size = min(2 * size, len(orders))


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


def memory_share(gpu: bool) -> float:
    """The largest share of the memory that this process has held so far."""
    if gpu:
        cuda: Any = sys.modules["torch"].cuda
        return cuda.max_memory_allocated() / cuda.mem_get_info()[1]
    import resource

    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak_bytes / (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

"""What a process does with its work: runs the trials, together if it can, and hands back what they report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from cluster.work import Batch, Report, Work
from trainables import share, sizing
from trainables.api import Order, Outcome
from trainables.cohort import Cohort

_BATCH_S = 0.5  # reports of about this time travel together
_still_rising: dict[str, int] = {}  # by shape: up to which size more trials are quicker, as this process has found out


class Stacked:
    def __init__(self, work: Work) -> None:
        self._judged = work.judged
        self._beat = work.heart.start() if work.heart else None
        share.cap(work.orders[0].gpus)
        measured = _measured(work.orders) if work.size is None else None
        size = measured or work.size or len(work.orders)
        self._known = None if measured else size  # to the driver
        self._cohort = Cohort(work.orders, work.open_sink, size=size)
        if self._beat:
            self._cohort.pulse = self._beat

    def next_batch(self) -> Batch:
        """Ends before a checkpoint: the driver should have every report that a later attempt will not make again."""
        began, reports, endings = time.monotonic(), [], {}
        for found in self._cohort:
            self._cohort.pulse()
            reports += [(trial, Report(step, metrics)) for trial, step, metrics in found.reports]
            endings |= found.endings
            if self._judged or self._cohort.about_to_save or time.monotonic() - began >= _BATCH_S:
                break
        size, self._known = None if self._known == self._cohort.size else self._cohort.size, self._cohort.size
        free = self._cohort.size - len(self._cohort.live)
        return Batch(tuple(reports), endings, self._cohort.seconds, free, size)

    def drop(self, outcomes: Mapping[str, Outcome]) -> None:
        self._cohort.drop(outcomes)

    def add(self, orders: Sequence[Order]) -> None:
        self._cohort.add(orders)

    def close(self) -> None:
        """Stop what still runs."""
        self._cohort.close(Outcome.CANCELLED)
        if self._beat:
            self._beat.stop()


def _measured(orders: Sequence[Order]) -> int | None:
    """The best size, if it is worth a trial run and has an end."""
    shape = orders[0].shape
    if len(orders) <= max(sizing.SMALLEST, _still_rising.get(shape, 0)):
        return None
    size = sizing.best_size(orders)
    if size is None:
        _still_rising[shape] = len(orders)
    return size

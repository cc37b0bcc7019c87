"""Carries what happens in Tune to the source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cluster.work import Batch, Ending, Idle, OpenSink, Source, Work
from trainables.api import Order, Outcome


class Traffic:
    """Trials are known by Tune's ids here. Each order that is taken from the source has exactly one ending.

    An error of the source must not vanish in Tune: it stops everything, and ``settle`` raises it.
    """

    def __init__(self, source: Source, open_sink: OpenSink, cpus: float = 1) -> None:
        self._source, self._open_sink, self._cpus = source, open_sink, cpus
        self._live: dict[str, Order] = {}  # by Tune's trial id
        self._failure: Exception | None = None

    @property
    def stopping(self) -> bool:
        return self._failure is not None or self._source.stopping

    def next(self, trial_id: str) -> Work | Idle:
        order: Order | Idle = Idle.FINISHED
        if not self.stopping:
            with self._guarded():
                order = self._source.next()
        if isinstance(order, Idle):
            return order
        self._live[trial_id] = order
        return Work(order, self._open_sink, self._source.judges_reports, self._cpus)

    def started(self, trial_id: str) -> None:
        with self._guarded():
            self._source.started(self._live[trial_id].trial)

    def take(self, trial_id: str, batch: Batch) -> Outcome | None:
        """Pass on a batch; how the trial has ended, or has to end now, or None if it goes on."""
        go_on = True
        with self._guarded():
            if batch.reports:
                go_on = self._source.reported(self._live[trial_id].trial, batch.reports)
        ending = batch.ending or self._verdict(go_on)
        if ending:
            self.end(trial_id, ending)
        return ending.outcome if ending else None

    def _verdict(self, go_on: bool) -> Ending | None:
        if not go_on:
            return Ending(Outcome.PRUNED)
        return Ending(Outcome.CANCELLED) if self.stopping else None

    def end(self, trial_id: str, ending: Ending) -> None:
        if order := self._live.pop(trial_id, None):
            with self._guarded():
                self._source.ended(order.trial, self._checked(ending))

    def _checked(self, ending: Ending) -> Ending:
        """A trial that nobody stopped was not cancelled: its trainable raised KeyboardInterrupt."""
        if ending.outcome == Outcome.CANCELLED and not self.stopping:
            return Ending(Outcome.FAILED, f"the trainable raised KeyboardInterrupt: {ending.error}")
        return ending

    def settle(self) -> None:
        """Close what Tune has left open, and raise what the source has raised."""
        for trial_id in list(self._live):
            outcome = Outcome.CANCELLED if self.stopping else Outcome.LOST
            self.end(trial_id, Ending(outcome, "Tune ended before the trial"))
        if self._failure:
            raise self._failure

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again by ``settle``
            self._failure = self._failure or error

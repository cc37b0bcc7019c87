"""Runs trials one after the other in this process, without Ray: for tests, for a debugger, for small things."""

from __future__ import annotations

from cluster.work import Ending, Idle, OpenSink, Report, Source
from trainables.api import Order, Outcome
from trainables.attempt import Attempt


def run(source: Source, open_sink: OpenSink) -> None:
    """Run what ``source`` gives out until it has no more, or is stopping."""
    while not source.stopping:
        order = source.next()
        if not isinstance(order, Order):
            assert order is Idle.FINISHED, "waiting for a trial although none is running"
            return
        source.started(order.trial)
        ending = _run(source, Attempt(order, open_sink(order)))
        source.ended(order.trial, ending)
        if ending.outcome == Outcome.CANCELLED and not source.stopping:
            raise KeyboardInterrupt


def _run(source: Source, attempt: Attempt) -> Ending:
    try:
        for step, metrics in attempt:
            go_on = source.reported(attempt.order.trial, [Report(step, metrics)])
            if not go_on:
                attempt.close(Outcome.PRUNED)
            elif source.stopping:
                attempt.close(Outcome.CANCELLED)
    finally:
        attempt.close(Outcome.CANCELLED)
    return attempt.ending

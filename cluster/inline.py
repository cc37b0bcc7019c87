"""Runs trials in this process, without Ray: for tests, for a debugger, for small things."""

from __future__ import annotations

import time
from dataclasses import replace

from cluster.placement import Sizes
from cluster.stacked import Stacked
from cluster.traffic import Traffic
from cluster.work import Batch, Idle, OpenSink, Source
from trainables.api import Ending, Outcome

_HERE = "this process"
_LOOK_S = 0.05  # while the only trials left wait for another attempt


def run(source: Source, open_sink: OpenSink, sizes: Sizes | None = None) -> None:
    """Run what ``source`` gives out until it has no more, or is stopping. Without ``sizes`` trials run one by one."""
    traffic = Traffic(source, open_sink, sizes or Sizes(1), remote=False)
    try:
        while (work := traffic.next(_HERE)) is not Idle.FINISHED:
            if work is Idle.WAIT:
                time.sleep(_LOOK_S)
                continue
            traffic.started(_HERE)
            _run(traffic, Stacked(replace(work, judged=True)))
    finally:
        traffic.settle()


def _run(traffic: Traffic, stacked: Stacked) -> None:
    try:
        while traffic.busy(_HERE):
            batch = stacked.next_batch()
            stops = traffic.take(_HERE, batch)
            stacked.drop(stops)
            stacked.add(traffic.more(_HERE, batch, len(stops)))
            if _interrupted(batch) and not traffic.stopping:
                raise KeyboardInterrupt
    finally:
        stacked.close()
        traffic.end(_HERE, Ending(Outcome.CANCELLED))


def _interrupted(batch: Batch) -> bool:
    return any(ending.outcome == Outcome.CANCELLED for ending in batch.endings.values())

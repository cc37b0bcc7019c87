"""Carries what happens in the processes of a backend to the source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from cluster.placement import Sizes
from cluster.work import Batch, Ending, Idle, OpenSink, Source, Work
from trainables.api import Cause, Order, Outcome


class Traffic:
    """Each process has a place here, by a name that the backend gives it, and each order has exactly one ending.

    An error of the source must not vanish in a backend: it stops everything, and ``settle`` raises it.
    """

    def __init__(
        self,
        source: Source,
        open_sink: OpenSink,
        sizes: Sizes,
        *,
        takes: Mapping[str, float] | None = None,
        sharing: int = 1,
        remote: bool = True,
    ) -> None:
        """``sharing``: how many processes there are. ``remote``: they are not this one, where Ctrl-C is pressed.

        ``takes``: what each worker of a trial gets, as Ray names it.
        """
        self._source, self._open_sink, self._sizes = source, open_sink, sizes
        self._takes, self.sharing, self._remote = takes or {}, sharing, remote
        self._live: dict[str, dict[str, Order]] = {}  # by place and trial; no place that has none
        self._seconds: dict[str, float] = {}  # that trials had taken when they were last heard of
        self._failure: Exception | None = None

    @property
    def stopping(self) -> bool:
        return self._failure is not None or self._source.stopping

    def next(self, place: str) -> Work | Idle:
        order = Idle.FINISHED
        if not self.stopping:
            with self._guarded():
                order = self._source.next()
        if isinstance(order, Idle):
            return order
        self._live[place] = {order.trial: order}
        self._add_alike(place, self._sizes.most(order) - 1)
        orders = tuple(self._live[place].values())
        takes = {**self._takes, **({"GPU": order.gpus} if order.gpus else {})}
        return Work(orders, self._open_sink, self._source.judges_reports, takes, self._sizes.of(order))

    def _add_alike(self, place: str, most: int) -> tuple[Order, ...]:
        live, orders = self._live[place], ()
        most = min([most, *(order.most - len(live) for order in live.values() if order.most)])
        if most <= 0:
            return ()
        idle = max(1, self.sharing - (len(self._live) - 1))  # this one included
        with self._guarded():
            orders = tuple(self._source.alike(next(iter(live)), most, self.sharing, idle))
            live.update({order.trial: order for order in orders})
        return orders

    def started(self, place: str) -> None:
        with self._guarded():
            for trial in self._live.get(place, ()):
                self._source.started(trial)

    def busy(self, place: str) -> bool:
        """Whether any of its trials goes on."""
        return place in self._live

    def take(self, place: str, batch: Batch) -> dict[str, Outcome]:
        """Pass on a batch; the trials that have to end now."""
        live = self._live.get(place, {})
        self._seconds.update(batch.seconds)
        if batch.size and live:
            self._sizes.learn(next(iter(live.values())), batch.size)
        stops: dict[str, Outcome] = {}
        with self._guarded():
            for trial, report in batch.reports:
                if trial in live and trial not in stops and not self._source.reported(trial, [report]):
                    stops[trial] = Outcome.PRUNED
        for trial, ending in batch.endings.items():
            self._end(place, trial, ending)
        if self.stopping:
            stops = dict.fromkeys(live, Outcome.CANCELLED)
        stops = {trial: outcome for trial, outcome in stops.items() if trial in live}
        for trial, outcome in stops.items():
            self._end(place, trial, Ending(outcome))
        return stops

    def more(self, place: str, batch: Batch, num_stopped: int) -> tuple[Order, ...]:
        """Trials for the places that are free in a cohort that goes on, those of the ones just stopped among them."""
        if batch.free + num_stopped <= 0 or not self.busy(place) or self.stopping:
            return ()
        orders = self._add_alike(place, batch.free + num_stopped)
        with self._guarded():
            for order in orders:
                self._source.started(order.trial)
        return orders

    def end(self, place: str, ending: Ending) -> None:
        """End what is left in a place; if its process died of something, that may be due to any of its trials."""
        trials = list(self._live.get(place, ()))
        for trial in trials:
            self._end(place, trial, replace(ending, suspects=len(trials)))

    def _end(self, place: str, trial: str, ending: Ending) -> None:
        live = self._live.get(place, {})
        if live.pop(trial, None):
            if not live:
                del self._live[place]
            seconds = self._seconds.pop(trial, None) if ending.seconds is None else ending.seconds
            with self._guarded():
                self._source.ended(trial, self._checked(replace(ending, seconds=seconds)))

    def _checked(self, ending: Ending) -> Ending:
        """A trial elsewhere that nobody stopped was not cancelled: its trainable raised KeyboardInterrupt."""
        if ending.outcome == Outcome.CANCELLED and self._remote and not self.stopping:
            text = f"the trainable raised KeyboardInterrupt: {ending.error}"
            return Ending(Outcome.FAILED, text, ending.seconds, Cause.ERROR)
        return ending

    def settle(self) -> None:
        """Close what the backend has left open, and raise what the source has raised."""
        for place in list(self._live):
            outcome, cause = (Outcome.CANCELLED, Cause.NONE) if self.stopping else (Outcome.LOST, Cause.DIED)
            self.end(place, Ending(outcome, "the process ended before the trial", cause=cause))
        if self._failure:
            raise self._failure

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again by ``settle``
            self._failure = self._failure or error

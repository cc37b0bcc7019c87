"""What a run tells Prometheus, through Ray's agent on the machine of the driver, beside Ray's own figures."""

from __future__ import annotations

from collections.abc import Sequence

from ray.util.metrics import Counter, Gauge

from cluster.work import Ending, Idle, Report, Source
from trainables.api import Order


class Counted:
    """A source that counts what passes through it. At the agent's endpoint the names begin with ``ray_``."""

    def __init__(self, source: Source, run: str) -> None:
        """``run``: by which the figures of several runs are told apart."""
        self._source, self._running = source, set[str]()
        tags = {"run": run}
        self._now = Gauge("assay_trials_running", "trials that run", ("run",)).set_default_tags(tags)
        self._ended = Counter(
            "assay_attempts_ended", "attempts of trials that have ended, by outcome", ("run", "outcome")
        ).set_default_tags(tags)
        self._retries = Counter(
            "assay_retries", "attempts of trials that had an earlier one", ("run",)
        ).set_default_tags(tags)
        self._reports = Counter("assay_reports", "reports of trials", ("run",)).set_default_tags(tags)

    @property
    def stopping(self) -> bool:
        return self._source.stopping

    @property
    def judges_reports(self) -> bool:
        return self._source.judges_reports

    def next(self) -> Order | Idle:
        order = self._source.next()
        self._count_retries([] if isinstance(order, Idle) else [order])
        return order

    def alike(self, trial: str, most: int, sharing: int = 1, idle: int = 1) -> Sequence[Order]:
        orders = self._source.alike(trial, most, sharing, idle)
        self._count_retries(orders)
        return orders

    def _count_retries(self, orders: Sequence[Order]) -> None:
        if again := sum(order.attempt > 1 for order in orders):
            self._retries.inc(again)

    def started(self, trial: str) -> None:
        self._running.add(trial)
        self._now.set(len(self._running))
        self._source.started(trial)

    def reported(self, trial: str, reports: Sequence[Report]) -> bool:
        if reports:
            self._reports.inc(len(reports))
        return self._source.reported(trial, reports)

    def ended(self, trial: str, ending: Ending) -> None:
        self._running.discard(trial)
        self._now.set(len(self._running))
        self._ended.inc(tags={"outcome": ending.outcome.value})
        self._source.ended(trial, ending)

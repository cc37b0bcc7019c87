"""Stands between rank 0 of a trial with workers and its Tune actor."""

from __future__ import annotations

import asyncio

from cluster.work import Ending, Report
from trainables.api import Outcome


class Relay:
    """A mailbox in a process of its own, as both of its ends are busy in theirs."""

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._taken = 0  # reports that the Tune actor has
        self._approved = 0  # reports after which the trial may go on
        self._verdict: Outcome | None = None
        self._ending: Ending | None = None
        self._news = asyncio.Condition()

    async def report(self, report: Report, wait: bool) -> Outcome | None:
        """Leave a report, and perhaps wait until it is judged; how the trial has to end, or None if it goes on."""
        async with self._news:
            self._reports.append(report)
            number = len(self._reports)
            self._news.notify_all()
            if wait:
                await self._news.wait_for(lambda: self._verdict or self._approved >= number)
            return self._verdict

    async def take(self, timeout_s: float) -> tuple[Report, ...]:
        """The reports since the last call, which thereby are approved of. Waits for at least one."""
        async with self._news:
            self._approved = self._taken
            self._news.notify_all()
            try:
                await asyncio.wait_for(self._news.wait_for(lambda: len(self._reports) > self._taken), timeout_s)
            except TimeoutError:
                return ()
            new = tuple(self._reports[self._taken :])
            self._taken = len(self._reports)
            return new

    async def decide(self, verdict: Outcome) -> None:
        async with self._news:
            self._verdict = verdict
            self._news.notify_all()

    async def conclude(self, ending: Ending) -> None:
        """How the attempt has ended; the first word counts."""
        self._ending = self._ending or ending

    async def ending(self) -> Ending | None:
        return self._ending

from __future__ import annotations

import asyncio

from cluster.relay import Relay
from cluster.work import Ending, Report
from trainables.api import Outcome

FIRST, SECOND = Report(1, {"loss": 1.0}), Report(2, {"loss": 0.5})


def test_reports_are_taken_once_and_in_order():
    async def talk():
        relay = Relay()
        assert await relay.report(FIRST, wait=False) is None
        assert await relay.report(SECOND, wait=False) is None
        return await relay.take(1), await relay.take(0.01)

    assert asyncio.run(talk()) == ((FIRST, SECOND), ())


def test_a_worker_that_waits_goes_on_when_its_report_was_taken_and_asked_past():
    async def talk():
        relay = Relay()
        worker = asyncio.create_task(relay.report(FIRST, wait=True))
        taken = await relay.take(1)
        await asyncio.sleep(0.02)
        early = worker.done()
        await relay.take(0.01)
        return taken, early, await worker

    assert asyncio.run(talk()) == ((FIRST,), False, None)


def test_a_verdict_reaches_the_worker_that_waits_and_those_that_come():
    async def talk():
        relay = Relay()
        worker = asyncio.create_task(relay.report(FIRST, wait=True))
        await relay.take(1)
        await relay.decide(Outcome.PRUNED)
        return await worker, await relay.report(SECOND, wait=False)

    assert asyncio.run(talk()) == (Outcome.PRUNED, Outcome.PRUNED)


def test_the_first_word_about_the_ending_counts():
    async def talk():
        relay = Relay()
        before = await relay.ending()
        await relay.conclude(Ending(Outcome.FAILED, "rank 1"))
        await relay.conclude(Ending(Outcome.DONE))
        return before, await relay.ending()

    assert asyncio.run(talk()) == (None, Ending(Outcome.FAILED, "rank 1"))

"""What processes ask for when some of them have nothing to do."""

from __future__ import annotations

from pathlib import Path

from fakes import FakeSource, OpenFiles, order

from cluster.placement import Sizes
from cluster.traffic import Traffic
from cluster.work import Batch
from trainables.api import Ending, Outcome


class Asked(FakeSource):
    """Remembers how many processes were said to be idle."""

    idle: tuple[int, ...] = ()

    def alike(self, trial, most, sharing=1, idle=1):
        self.idle += (idle,)
        return super().alike(trial, most, sharing, idle)


def test_idle_are_those_without_trials_and_the_one_that_asks():
    source = Asked([order(str(n), "plain", shape=str(n)) for n in range(6)])
    traffic = Traffic(source, OpenFiles(Path()), Sizes(2), sharing=4)
    for place in "abc":
        traffic.next(place)
    assert source.idle == (4, 3, 2)
    traffic.end("a", Ending(Outcome.DONE))
    traffic.take("b", Batch(endings={"1": Ending(Outcome.DONE)}))
    assert not traffic.busy("a")
    assert not traffic.busy("b")
    assert traffic.busy("c")
    traffic.next("another name")
    assert source.idle[3:] == (3,)
    traffic.more("c", Batch(free=1), 0)
    assert source.idle[4:] == (3,)


def test_what_is_said_of_a_place_that_has_nothing_changes_nothing():
    source = Asked([order("a", "plain")])
    traffic = Traffic(source, OpenFiles(Path()), Sizes(1), sharing=1)
    traffic.next("place")
    traffic.end("place", Ending(Outcome.DONE))
    traffic.started("place")
    traffic.end("place", Ending(Outcome.LOST))
    assert traffic.take("place", Batch(endings={"a": Ending(Outcome.DONE)})) == {}
    assert traffic.more("place", Batch(free=3), 0) == ()
    traffic.settle()
    assert source.events == [("ended", "a")]

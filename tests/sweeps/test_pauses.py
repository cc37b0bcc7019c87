"""The garbage collector while a run is driven."""

from __future__ import annotations

import gc
import weakref

import pytest

from sweeps.pauses import short_pauses


class Knot:
    """Garbage that only the collector finds, once it is let go."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def seen():
    """How many objects each full collection has looked at."""
    counts: list[int] = []

    def count(phase, info):
        if phase == "start" and info["generation"] == 2:
            counts.append(len(gc.get_objects()))

    gc.callbacks.append(count)
    yield counts
    gc.callbacks.remove(count)


def test_a_full_collection_does_not_look_at_what_an_earlier_one_has_seen(seen):
    with short_pauses():
        held = []
        for _ in range(3):
            held += [[n] for n in range(20_000)]
            gc.collect()
    assert len(seen) == 3
    assert max(seen) < 30_000
    assert len(held) == 60_000


def test_new_garbage_is_found_and_afterwards_all_of_it():
    with short_pauses():
        young, old = Knot(), Knot()
        found = weakref.ref(young), weakref.ref(old)
        del young
        gc.collect()
        assert found[0]() is None
        del old
        gc.collect()
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert found[1]() is None

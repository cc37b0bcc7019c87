from __future__ import annotations

from dataclasses import dataclass

import pytest

from cluster.placement import PlacementError, concurrent


@dataclass(frozen=True)
class Ask:
    cpus: float = 1
    gpus: float = 0
    workers: int = 0


SMALL, BIG, HEAD = {"CPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, {"memory": 1e9}


@pytest.mark.parametrize(
    ("ask", "machines", "fitting"),
    [
        (Ask(), [SMALL], 2),
        (Ask(cpus=0.5), [SMALL], 4),
        (Ask(cpus=2), [SMALL, SMALL], 2),
        (Ask(cpus=1.5), [SMALL, SMALL], 2),  # what is left over of two machines is no machine
        (Ask(), [HEAD, SMALL, BIG], 10),
        (Ask(gpus=1), [SMALL, BIG], 2),
        (Ask(gpus=2), [SMALL, BIG], 1),
        (Ask(gpus=0.5), [BIG], 4),
        (Ask(gpus=1 / 3), [BIG], 6),
        (Ask(gpus=0.4), [BIG], 4),  # two on each GPU, none across
        (Ask(cpus=4, gpus=0.25), [BIG], 2),
        (Ask(workers=1), [SMALL], 2),
        (Ask(workers=2), [SMALL], 1),
        (Ask(workers=3), [SMALL, SMALL], 1),  # workers may be on several machines
        (Ask(gpus=1, workers=2), [BIG, BIG], 2),
    ],
)
def test_as_many_as_fit(ask, machines, fitting):
    assert concurrent(ask, machines) == fitting


def test_at_most_the_limit():
    assert concurrent(Ask(), [BIG], limit=3) == 3
    assert concurrent(Ask(), [SMALL], limit=3) == 2


@pytest.mark.parametrize(
    ("ask", "machines", "words"),
    [
        (Ask(cpus=4), [SMALL, SMALL], ["4 CPUs per process", "2 CPUs"]),
        (Ask(gpus=1), [SMALL], ["1 CPUs and 1 GPUs", "2 CPUs"]),
        (Ask(gpus=4), [BIG], ["4 GPUs", "8 CPUs and 2 GPUs"]),
        (Ask(gpus=1.5), [BIG], ["resources.gpus", "1.5", "whole number"]),
        (Ask(workers=3), [SMALL], ["resources.workers", "3 workers", "room for 2"]),
        (Ask(), [HEAD], ["1 CPUs", "0 CPUs"]),
        (Ask(), [], ["no machine"]),
    ],
)
def test_what_can_never_be_placed_is_refused(ask, machines, words):
    with pytest.raises(PlacementError) as error:
        concurrent(ask, machines)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)

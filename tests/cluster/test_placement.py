from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.placement import Ask, PlacementError, bundle, concurrent, fits, places, rooms

SMALL, BIG, HEAD = {"CPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, {"memory": 1e9}
ROOMY, H100 = {"CPU": 8.0, "memory": 64e9}, {"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}
TPU = {"CPU": 4.0, "tpu_slice": 2.0, "TPU": 8.0}


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
        (Ask(memory=16_000_000_000), [ROOMY, SMALL], 4),
        (Ask(cpus=4, memory=1_000_000_000), [ROOMY], 2),
        (Ask(accelerator="H100"), [BIG, H100], 8),  # a type is no amount
        (Ask(accelerator="H100", gpus=0.25), [BIG, H100], 8),
        (Ask(custom={"tpu_slice": 1}), [TPU, BIG], 2),
        (Ask(custom={"tpu_slice": 0.5}), [TPU], 4),
        (Ask(custom={"TPU": 0.4}), [TPU], 4),
        (Ask(cpus=0.1, custom={"TPU": 0.4}), [TPU], 16),  # two on each of its chips
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
        (Ask(cpus=4), [SMALL, SMALL], ["4 CPUs per process", "2 x 2 CPUs, too few of CPU"]),
        (Ask(gpus=1), [SMALL], ["1 CPU, 1 GPU per process", "1 x 2 CPUs, 0 GPUs, too few of GPU"]),
        (Ask(gpus=4), [BIG], ["4 GPUs", "8 CPUs, 2 GPUs, too few of GPU"]),
        (Ask(gpus=1.5), [BIG], ["resources.gpus", "1.5", "whole number"]),
        (Ask(custom={"TPU": 1.5}), [TPU], ["resources.custom.TPU", "1.5"]),
        (Ask(workers=3), [SMALL], ["resources.workers", "3 workers with 1 CPU each", "room for 2"]),
        (Ask(workers=3, cpus=3), [SMALL], ["3 CPUs per process", "too few of CPU"]),
        (Ask(), [HEAD], ["1 CPU", "1 x 0 CPUs"]),
        (Ask(), [], ["no machine"]),
        (Ask(memory=65_000_000_000), [ROOMY], ["65 GB memory per process", "8 CPUs, 64 GB memory, too few of memory"]),
        (Ask(accelerator="A100", gpus=1), [H100], ["1 GPU, on A100", "2 GPUs (H100), too few of A100"]),
        (Ask(custom={"tpu_slice": 4}), [TPU, SMALL], ["4 tpu_slice", "2 tpu_slice, too few of tpu_slice"]),
    ],
)
def test_what_can_never_be_placed_is_refused(ask, machines, words):
    with pytest.raises(PlacementError) as error:
        concurrent(ask, machines)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


# --- laws ------------------------------------------------------------------------------------------------------------

SHARES = st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.4, 0.5, 0.6, 0.9])
ASKS = st.builds(
    Ask,
    cpus=st.one_of(SHARES, st.integers(1, 5)),
    gpus=st.one_of(st.just(0), SHARES, st.integers(1, 4)),
    workers=st.integers(0, 5),
    memory=st.one_of(st.none(), st.integers(1, 10**11)),
    custom=st.one_of(st.just({}), st.fixed_dictionaries({"slot": st.one_of(SHARES, st.integers(1, 3))})),
)
MACHINES = st.fixed_dictionaries(
    {"CPU": st.integers(0, 32), "memory": st.integers(0, 10**12)},
    optional={"GPU": st.integers(0, 8), "slot": st.integers(0, 8)},
)


@given(ASKS, MACHINES)
def test_never_more_than_fits(ask, machine):
    takes, number = bundle(ask), places(bundle(ask), machine)
    for name, amount in takes.items():
        assert number * amount <= machine.get(name, 0) * (1 + 1e-6)


@given(ASKS, MACHINES)
def test_one_more_would_not_fit(ask, machine):
    """Ask by ask, device by device: what binds has no room for another process."""
    takes = bundle(ask)
    number, name = min((room, name) for name, room in rooms(takes, machine).items())
    amount, has = takes[name], machine.get(name, 0)
    if name == "GPU" and amount < 1:
        assert number == has * len(_filled(amount))
    else:
        assert (number + 1) * amount > has * (1 - 1e-6)


def _filled(share):
    """Processes put on one device until the next would span two."""
    on_it = []
    while math.fsum([*on_it, share]) <= 1 + 1e-9:
        on_it.append(share)
    return on_it


@given(ASKS, st.lists(MACHINES, max_size=5), MACHINES)
def test_another_machine_never_hurts(ask, machines, another):
    alone = places(bundle(ask), another) // max(1, ask.workers)
    assert fits(ask, [*machines, another]) >= fits(ask, machines) + alone


@given(ASKS, st.lists(MACHINES, max_size=5), st.randoms())
def test_the_order_of_machines_is_nothing(ask, machines, random):
    mixed = random.sample(machines, len(machines))
    assert fits(ask, mixed) == fits(ask, machines)

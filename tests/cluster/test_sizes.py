"""How many trials are stacked: found by a short trial run, remembered between runs, less where the memory is short."""

from __future__ import annotations

import json

import pytest
from fakes import FakeSource, order

from cluster import inline
from cluster.placement import Sizes, fair_share, memory_of_sizes
from cluster.stacked import Stacked
from cluster.work import Work
from trainables import sizing
from trainables.api import Outcome


def orders(number: int, config: dict | None = None, **more):
    config = {"steps": 1000} | (config or {})
    return [order(f"t{n}", "stack", config, shape="s", seed=n, **more) for n in range(number)]


@pytest.fixture
def plenty(monkeypatch):
    monkeypatch.setattr(sizing, "memory_share", lambda _: 0.0)


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize(
    ("config", "number", "size"),
    [
        ({"member_s": 0.003}, 64, 8),  # twice as many take twice as long
        ({"step_s": 0.016, "member_s": 0.0005}, 256, 32),  # free up to 32
        ({"step_s": 0.016}, 64, None),  # free as far as one can see
        ({"step_s": 0.016}, 50, None),
        ({"step_s": 0.002, "most": 20}, 64, 16),
        ({"step_s": 0.002, "most": 5}, 64, 4),
        ({"most": 1}, 64, 1),
        ({"most": 0}, 64, 1),  # nothing fits: the trials themselves will say so
        ({"fail": 1}, 64, 1),
        ({"step_s": 0.02, "steps": 4}, 16, None),  # over before it is measured well
    ],
)
def test_best_size_is_where_the_speed_stops_growing(config, number, size):
    assert sizing.best_size(orders(number, config)) == size


def test_a_share_of_the_memory_is_the_limit(monkeypatch):
    shares = iter([0.2, 0.39, 0.41])
    monkeypatch.setattr(sizing, "memory_share", lambda _: next(shares))
    assert sizing.best_size(orders(64, {"step_s": 0.016})) == 4 * sizing.SMALLEST


def test_time_is_the_limit_too(monkeypatch):
    monkeypatch.setattr(sizing, "_BUDGET_S", 0.0)
    assert sizing.best_size(orders(64, {"step_s": 0.002})) == sizing.SMALLEST


def test_share_of_the_memory_is_one():
    assert 0 < sizing.memory_share(False) < 1


def test_a_trial_run_leaves_nothing_behind(files, tmp_path):
    folder = tmp_path / "trial"
    sizing.best_size(orders(9, {"step_s": 0.001}, folder=str(folder), store=str(tmp_path / "store")))
    assert not list(tmp_path.iterdir())


# --- remembered ------------------------------------------------------------------------------------------------------


def one(**more):
    return order("t", "stack", {}, **({"shape": "s"} | more))


def test_sizes_are_remembered_by_shape_and_device(tmp_path):
    memory = tmp_path / "some" / "sizes.json"
    assert Sizes(memory=memory).of(one()) is None
    Sizes(memory=memory).learn(one(), 24)
    again = Sizes(memory=memory)
    assert again.of(one()) == again.most(one()) == 24
    for other in (one(shape="other"), one(gpus=1.0), one(threads=4)):
        assert again.of(other) is None
    assert [path.name for path in memory.parent.iterdir()] == ["sizes.json"]


def test_two_runs_at_once_do_not_forget_what_the_other_has_learned(tmp_path):
    first, second = (Sizes(memory=tmp_path / "sizes.json") for _ in range(2))
    first.learn(one(shape="a"), 8)
    second.learn(one(shape="b"), 16)
    third = Sizes(memory=tmp_path / "sizes.json")
    assert (third.of(one(shape="a")), third.of(one(shape="b"))) == (8, 16)


def damaged(name: object) -> list[str]:
    values = ["no", -3, 0, 2.5, None, True, [8]]
    return ["", "{", "[1]", "7", "null", *(json.dumps({name: value}) for value in values)]


@pytest.mark.parametrize("number", range(12))
def test_a_damaged_memory_is_no_memory(tmp_path, number):
    memory = tmp_path / "sizes.json"
    Sizes(memory=memory).learn(one(), 24)
    (name,) = json.loads(memory.read_text())
    memory.write_text(damaged(name)[number])
    assert Sizes(memory=memory).of(one()) is None
    Sizes(memory=memory).learn(one(), 12)
    assert Sizes(memory=memory).of(one()) == 12


def test_memory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    sizes = Sizes(memory=tmp_path / "file" / "sizes.json")
    sizes.learn(one(), 24)
    assert sizes.of(one()) == 24


def test_a_given_size_is_that_size():
    assert (Sizes(3).of(one()), Sizes(3).most(one())) == (3, 3)


def test_memory_lies_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert memory_of_sizes() == tmp_path / "assay" / "cohorts.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert memory_of_sizes() == tmp_path / ".cache" / "assay" / "cohorts.json"


# --- used ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plenty")
def test_a_size_is_found_out_once_and_then_used(files, tmp_path, monkeypatch):
    asked = []
    measure = sizing.best_size
    monkeypatch.setattr(sizing, "best_size", lambda orders: asked.append(len(orders)) or measure(orders))
    for _ in range(2):
        log = tmp_path / "log"
        source = FakeSource(orders(20, {"steps": 30, "member_s": 0.001, "log": str(log)}))
        inline.run(source, files, Sizes(memory=tmp_path / "sizes.json"))
        assert all(source.outcomes(trial) == [Outcome.DONE] for trial in source.given)
    assert asked == [20]
    sizes = [int(line) for line in log.read_text().splitlines()]
    assert 7 <= max(sizes[-40:]) <= 8


def test_a_cohort_that_is_too_large_for_the_memory_says_so_and_goes_on(files, tmp_path):
    for known, most in ((16, 16), (4, 4)):
        sizes = Sizes(memory=tmp_path / f"{known}.json")
        sizes.learn(orders(1)[0], 16)
        source = FakeSource(orders(48, {"steps": 3, "most": known}))
        inline.run(source, files, sizes)
        assert all(source.outcomes(trial) == [Outcome.DONE] for trial in source.given)
        assert all(source.steps(trial) == [1, 2, 3] for trial in source.given)
        assert Sizes(memory=tmp_path / f"{known}.json").of(orders(1)[0]) == most


def test_few_trials_are_stacked_as_they_are(files):
    stacked = Stacked(Work(tuple(orders(sizing.SMALLEST, {"steps": 2})), files))
    assert len(stacked.next_batch().reports) == 2 * sizing.SMALLEST


@pytest.mark.parametrize(
    ("ready", "most", "sharing", "idle", "share"),
    [
        (32, 64, 16, 16, 2),  # whoever is idle gets something
        (30, 64, 16, 15, 2),
        (64, 64, 2, 2, 32),
        (128, 64, 2, 2, 64),
        (130, 64, 2, 2, 33),  # two rounds of two
        (54, 64, 2, 1, 27),  # the other one will be back
        (9, 64, 2, 1, 8),  # a small rest is not divided further
        (7, 64, 4, 1, 7),
        (1, 1, 1, 1, 1),
        (10, 3, 1, 1, 3),
    ],
)
def test_processes_share_what_is_ready(ready, most, sharing, idle, share):
    assert fair_share(ready, most, sharing, idle) == share


def test_the_share_is_never_more_than_there_is_nor_more_than_fits():
    for ready in range(1, 200, 7):
        for most in (1, 5, 64):
            for sharing, idle in ((1, 1), (2, 1), (2, 2), (5, 1), (5, 3)):
                assert 1 <= fair_share(ready, most, sharing, idle) <= min(ready, most)


def test_all_processes_are_busy_to_the_end():
    """Two that take turns, one trial a second each: they end within a small cohort of each other."""
    ready, ends = 256, [0.0, 0.0]
    while ready:
        first = ends.index(min(ends))
        idle = 2 if ends == [0.0, 0.0] else 1
        taken = fair_share(ready, 48, 2, idle)
        ready, ends[first] = ready - taken, ends[first] + taken
    assert abs(ends[0] - ends[1]) <= 16

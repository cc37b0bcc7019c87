from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables import checkpoint
from trainables.checkpoint import CheckpointError, Pace
from trainables.seeding import Streams


def test_a_state_comes_back(tmp_path):
    state = {"weights": torch.arange(3.0), "deep": [{"n": 2**127, "x": 0.1, "text": "é", "none": None}, (1, True)]}
    checkpoint.save(tmp_path, 7, state)
    saved = checkpoint.load(tmp_path)
    assert saved
    assert saved.step == 7
    assert torch.equal(saved.state["weights"], state["weights"])
    assert saved.state["deep"] == state["deep"]


def test_a_model_and_its_optimizer_come_back(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path, 1, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    state = checkpoint.load(tmp_path).state
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    assert state["optimizer"]["state"].keys() == optimizer.state_dict()["state"].keys()


def test_random_streams_go_on_where_they_were(tmp_path):
    streams = Streams(3)
    streams.numpy("order").standard_normal(5), torch.rand(5, generator=streams.torch("init"))
    checkpoint.save(tmp_path, 1, {"streams": streams.state_dict()})
    expected = streams.numpy("order").random(4), torch.rand(4, generator=streams.torch("init"))
    again = Streams(3)
    again.load_state_dict(checkpoint.load(tmp_path).state["streams"])
    assert np.array_equal(again.numpy("order").random(4), expected[0])
    assert torch.equal(torch.rand(4, generator=again.torch("init")), expected[1])


def test_numpy_numbers_become_plain_ones(tmp_path):
    checkpoint.save(tmp_path, 1, {"n": np.int64(3), "x": np.float64(0.5)})
    state = checkpoint.load(tmp_path).state
    assert [type(v) for v in state.values()] == [int, float]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": {"b": [object()]}}, ["state['a']['b'][0]", "got a object"]),
        ({"a": np.zeros(3)}, ["state['a']", "numpy.ndarray"]),
        ({"a": lambda: 0}, ["state['a']", "function"]),
        ({("a", 1): 0}, ["state", "key of type tuple"]),
        ([1, {2}], ["state[1]", "set"]),
    ],
)
def test_what_needs_pickle_is_refused_with_its_place(tmp_path, state, words):
    with pytest.raises(CheckpointError) as error:
        checkpoint.save(tmp_path, 1, state)
    assert all(word in str(error.value) for word in words)
    assert not list(tmp_path.iterdir())


def flip(data):
    """The same length, with another number among the weights."""
    at = data.index(np.float32(11).tobytes() * 500)
    return data[:at] + b"\1" + data[at + 1 :]


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: data[:0], flip])
def test_a_damaged_newest_file_gives_way_to_the_one_before(tmp_path, damage):
    for step in (9, 10, 11):  # 9 and 10 sort the other way round as text
        path = checkpoint.save(tmp_path, step, {"weights": torch.full((1000,), float(step))})
    path.write_bytes(damage(path.read_bytes()))
    saved = checkpoint.load(tmp_path)
    assert (saved.step, saved.state["weights"][0]) == (10, 10)


def test_the_last_two_are_kept_and_drafts_of_killed_processes_go(tmp_path):
    (tmp_path / ".checkpoint-1.99.tmp").write_bytes(b"half")
    for step in range(1, 6):
        checkpoint.save(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4.pt", "checkpoint-5.pt"]


def test_nothing_saved_is_nothing_found(tmp_path):
    assert checkpoint.load(tmp_path / "never") is None


def test_a_save_is_due_after_ten_times_its_cost_and_at_least_a_second():
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert not pace.due
    now[0] = 1.0
    assert pace.due
    with pace.saving():
        now[0] += 5.0
    now[0] = 55.9
    assert not pace.due
    now[0] = 56.0
    assert pace.due


def test_a_quick_save_is_followed_by_another_after_a_second_at_the_earliest():
    now = [1.0]
    pace = Pace(clock=lambda: now[0])
    with pace.saving():
        now[0] += 0.001
    now[0] = 2.0
    assert not pace.due
    now[0] = 2.001
    assert pace.due

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables import checkpoint
from trainables.checkpoint import CheckpointError, Pace
from trainables.keeping import Keep
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


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["EXPLODED"]),)


def bomb_in_zip(_):
    """What torch itself writes of an object that has to be unpickled, by a stranger who can make archives."""
    torch.save({"weights": Bomb()}, file := io.BytesIO())
    return file.getvalue()


DAMAGE = {
    "truncated": lambda data: data[:-100],
    "half": lambda data: data[: len(data) // 2],
    "no bytes": lambda _: b"",
    "zeros": lambda data: bytes(len(data)),
    "flipped weight": flip,
    "flipped name": lambda data: data.replace(b"data.pkl", b"dat4.pkl", 1),
    "text": lambda _: b"step: 11\n",
    "bomb": lambda _: pickle.dumps(Bomb()),
    "bomb in an archive": bomb_in_zip,
}


@pytest.mark.parametrize("facts", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_newest_file_gives_way_to_the_one_before(tmp_path, monkeypatch, damage, facts):
    monkeypatch.setenv("EXPLODED", str(tmp_path / "exploded"))
    for step in (9, 10, 11):  # 9 and 10 sort the other way round as text
        path = checkpoint.save(tmp_path, step, {"weights": torch.full((1000,), float(step))})
    path.write_bytes(damage(path.read_bytes()))
    if not facts:
        path.with_suffix(".json").unlink()
    if damage is DAMAGE["flipped name"] and not facts:
        return  # one of two names in the archive; its content is whole
    found = checkpoint.find(tmp_path)
    assert (found.saved.step, found.saved.state["weights"][0]) == (10, 10)
    assert list(found.damaged) == ["checkpoint-11.pt"]
    assert not (tmp_path / "exploded").exists()


def test_every_flipped_byte_is_noticed(tmp_path):
    checkpoint.save(tmp_path, 1, {"weights": torch.zeros(3)})
    path = checkpoint.save(tmp_path, 2, {"weights": torch.ones(3)})
    data = path.read_bytes()
    for at in range(0, len(data), 13):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        assert checkpoint.load(tmp_path).step == 1, at


@pytest.mark.parametrize("facts", [b"", b"[]", b"{", b'{"sha256": "0"}', b'{"sha256": 7}'])
def test_damaged_facts_lose_at_most_their_own_state(tmp_path, facts):
    for step in (1, 2):
        path = checkpoint.save(tmp_path, step, {"step": step})
    path.with_suffix(".json").write_bytes(facts)
    assert checkpoint.load(tmp_path).step in ((1,) if b"sha" in facts else (2,))


def test_a_process_killed_before_any_of_its_system_calls_leaves_a_state(tmp_path):
    """Killed before the first call to the system, the second, and so on, until a save gets through."""
    for stage in range(1, 100):
        folder = tmp_path / str(stage)
        for step in (1, 2):
            checkpoint.save(folder, step, {"step": step}, keep=Keep(last=1), value=1.0)
        child = multiprocessing.get_context("fork").Process(target=save_and_die, args=(folder, stage))
        child.start()
        child.join()
        saved = checkpoint.load(folder)
        assert saved.state["step"] in ((2, 3) if child.exitcode else (3,)), stage
        assert saved.step == saved.state["step"]
        checkpoint.save(folder, 4, {"step": 4})
        assert checkpoint.load(folder).step == 4
        if not child.exitcode:
            break
    assert stage > 10


def save_and_die(folder, stage):
    calls = []

    def count(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.scandir", "os.listdir") and str(folder) in str(arguments):
            calls.append(event)
            if len(calls) == stage:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    checkpoint.save(
        folder, 2, {"step": 2}, keep=Keep(last=1), value=0.5
    )  # again, as after going back to an earlier one
    checkpoint.save(folder, 3, {"step": 3}, keep=Keep(last=1), value=0.5)


def test_the_last_two_are_kept_and_drafts_of_killed_processes_go(tmp_path):
    draft = tmp_path / ".checkpoint-1.pt.99.tmp"
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))
    for step in range(1, 6):
        checkpoint.save(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*.pt")) == ["checkpoint-4.pt", "checkpoint-5.pt"]
    assert not list(tmp_path.glob(".*"))


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

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest

from trainables.artifacts import ArtifactError, artifact

SPAWN = multiprocessing.get_context("fork")


def build_slowly(log, seconds=0.3):
    """A builder that says who it is, and writes two files with a pause between them."""

    def build(folder):
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        (folder / "first").write_text("1")
        time.sleep(seconds)
        (folder / "second").write_text("2")

    return build


def use(store, log, seen):
    folder = artifact(store, {"name": "model"}, build_slowly(log))
    seen.put(sorted(path.name for path in folder.iterdir()))


def test_two_that_race_build_once(tmp_path):
    store, log, seen = tmp_path / "store", tmp_path / "log", SPAWN.Queue()
    racers = [SPAWN.Process(target=use, args=(store, log, seen)) for _ in range(2)]
    for racer in racers:
        racer.start()
    found = [seen.get(timeout=20) for _ in racers]
    for racer in racers:
        racer.join()
    assert len(log.read_text().split()) == 1
    assert found == [["first", "second", "spec.json"]] * 2


def test_a_killed_builder_is_replaced_and_its_leftovers_are_gone(tmp_path):
    store, log = tmp_path / "store", tmp_path / "log"
    first = SPAWN.Process(target=artifact, args=(store, {"name": "model"}, build_slowly(log, 60)))
    first.start()
    while not list(store.glob(".*.building/first")):
        time.sleep(0.01)
    (next(store.glob(".*.building")) / "junk").write_text("left behind")
    assert not [path for path in store.iterdir() if not path.name.startswith(".")]  # nothing torn to be seen
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    folder = artifact(store, {"name": "model"}, build_slowly(log, 0))
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second", "spec.json"]
    assert len(log.read_text().split()) == 2
    assert not list(store.glob(".*.building"))


def test_the_address_is_the_content_of_the_spec(tmp_path):
    def build(folder):
        (folder / "x").touch()

    one = artifact(tmp_path, {"a": 1, "b": [1.5, None]}, build)
    assert artifact(tmp_path, {"b": [1.5, None], "a": 1}, build) == one
    assert artifact(tmp_path, {"a": 2, "b": [1.5, None]}, build) != one
    assert json.loads((one / "spec.json").read_text()) == {"a": 1, "b": [1.5, None]}


def test_a_builder_that_raises_leaves_nothing_and_may_be_tried_again(tmp_path):
    def break_off(folder):
        (folder / "half").touch()
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        artifact(tmp_path, {"a": 1}, break_off)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert artifact(tmp_path, {"a": 1}, lambda folder: (folder / "whole").touch()).is_dir()


@pytest.mark.parametrize("spec", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_a_spec_that_is_no_json_is_refused(tmp_path, spec):
    with pytest.raises(ArtifactError, match="has to be JSON"):
        artifact(tmp_path, spec, print)


def test_the_name_of_the_spec_file_is_taken(tmp_path):
    with pytest.raises(ArtifactError, match=r"spec\.json"):
        artifact(tmp_path, {"a": 1}, lambda folder: (folder / "spec.json").touch())

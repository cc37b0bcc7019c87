"""Copies on the disk of a machine: one for all of its processes, none where the store is as near."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from trainables import artifacts
from trainables.artifacts import ArtifactError, artifact, content_digest
from trainables.nearby import nearby

FORK = multiprocessing.get_context("fork")
MEMORY = Path("/dev/shm")  # another file system than that of temporary files


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A cache on another file system than the store."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    cache = Path(tempfile.mkdtemp(dir=MEMORY))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    yield cache
    shutil.rmtree(cache)


def model(store: Path) -> Path:
    def build(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "weights").write_bytes(b"w" * 100_000)
        (folder / "sub" / "spec.json").write_text("one of its own")

    return artifact(store, {"name": "model"}, build)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / artifacts.SPEC)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_copy_has_the_same_content(tmp_path, elsewhere):
    folder = model(tmp_path)
    copy = nearby(folder, artifacts.digest(folder))
    assert copy.is_relative_to(elsewhere)
    assert contents(copy) == contents(folder)
    assert content_digest(copy) == artifacts.digest(folder)


def test_processes_of_a_machine_share_one_copy(tmp_path, elsewhere, monkeypatch):
    folder, log = model(tmp_path), tmp_path / "log"
    copytree = shutil.copytree

    def counted(source, *args, **more):
        if source == folder:  # not a folder in it
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")
        return copytree(source, *args, **more)

    monkeypatch.setattr(shutil, "copytree", counted)
    digest = artifacts.digest(folder)
    processes = [FORK.Process(target=nearby, args=(folder, digest)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(log.read_text().split()) == 1


def test_where_the_store_is_as_near_there_is_no_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = model(tmp_path / "store")
    assert nearby(folder, artifacts.digest(folder)) == folder


def test_without_room_the_store_has_to_do(tmp_path, elsewhere, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    folder = model(tmp_path)
    monkeypatch.setattr(shutil, "copytree", full)
    assert nearby(folder, artifacts.digest(folder)) == folder
    assert not [*elsewhere.rglob("weights")]


def test_a_store_that_was_changed_is_not_copied(tmp_path, elsewhere):
    folder = model(tmp_path)
    digest = artifacts.digest(folder)
    (folder / "weights").write_bytes(b"v" * 100_000)
    with pytest.raises(ArtifactError, match="not what it was"):
        nearby(folder, digest)
    assert not [*elsewhere.rglob("weights")]


def test_the_digest_is_of_names_and_contents(tmp_path):
    folder = model(tmp_path)
    first = content_digest(folder)
    (folder / "weights").rename(folder / "other")
    assert content_digest(folder) != first
    (tmp_path / f".{folder.name}.digest").unlink()
    assert artifacts.digest(folder) == content_digest(folder)

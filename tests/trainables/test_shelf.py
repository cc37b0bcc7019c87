"""Data sets that are read once per machine: by one of many processes, wholly or not at all, and never old ones."""

from __future__ import annotations

import collections
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.data import digits, files, huggingface, image_folder, load, shelf

FORK = multiprocessing.get_context("fork")
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _quick_ticks(monkeypatch):
    monkeypatch.setattr(files, "_TICK_S", 0.02)  # of the file systems that tests run on


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """The processes that have read a folder of images, one line for each time."""
    log, read = tmp_path / "reads", image_folder.Config.load
    log.touch()

    def counted(config):
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return read(config)

    monkeypatch.setattr(image_folder.Config, "load", counted)
    load.cache_clear()
    yield lambda: len(log.read_text().split())
    load.cache_clear()


@pytest.fixture
def pictures(tmp_path, reads):
    return image_folder.Config(path=str(folder_of_pictures(tmp_path / "pictures")))


def folder_of_pictures(folder: Path, brightness: int = 0) -> Path:
    for place, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), (brightness, 100 * place, number)).save(folder / name / f"{number}.bmp")
    return folder


def copies() -> list[Path]:
    return sorted(path.parent for path in shelf.cache().with_name("data").glob("[!.]*/spec.json"))


def in_processes(count: int, call) -> list[int | None]:
    processes = [FORK.Process(target=call) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def test_one_process_of_many_reads_and_all_get_the_same(pictures, reads):
    expected = image_folder.Config.load(pictures)

    def get():
        found = load(pictures)
        assert found.digest == expected.digest
        assert found.classes == ("cat", "dog")
        assert isinstance(found.inputs.base, np.memmap)  # one copy in memory, too
        assert not found.inputs.flags.writeable

    before = reads()
    assert in_processes(6, get) == [0] * 6
    assert reads() == before + 1


def test_given_parts_and_names_of_classes_come_back(tmp_path, reads):
    datasets = pytest.importorskip("datasets")
    rows = {"image": [[1.0, 2.0], [3.0, 4.0]], "label": ["a", "b"]}
    parts = {name: datasets.Dataset.from_dict(rows) for name in ("train", "test")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    config = huggingface.Config(path=str(tmp_path / "saved"))
    found, again = (shelf.shared(config) for _ in range(2))
    assert found.digest == again.digest == config.load().digest
    assert again.given["test"].tolist() == [2, 3]
    assert len(copies()) == 1


def test_a_reader_that_is_killed_leaves_nothing_torn(pictures, reads, tmp_path, monkeypatch):
    begun, save = tmp_path / "begun", np.save

    def torn(file, array, **more):
        save(file, array[:1], **more)
        begun.touch()
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", torn)
        reader = FORK.Process(target=load, args=(pictures,))
        reader.start()
        while not begun.exists():
            time.sleep(0.01)
    waiting = FORK.Process(target=load, args=(pictures,))  # goes on when the lock is free
    waiting.start()
    os.kill(reader.pid, signal.SIGKILL)
    reader.join()
    waiting.join()
    assert waiting.exitcode == 0
    assert load(pictures).digest == image_folder.Config.load(pictures).digest
    assert reads() == 3  # the killed one, the one that waited, the comparison
    assert not [*copies()[0].parent.glob(".*.building")]


def changed(path: Path) -> None:
    """Another picture of the same size in bytes, of the same age."""
    picture, before = path / "cat" / "1.bmp", (path / "cat" / "1.bmp").stat()
    shutil.copyfile(path / "cat" / "2.bmp", picture)
    assert picture.stat().st_size == before.st_size
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        changed,
        lambda path: (path / "cat" / "0.bmp").unlink(),
        lambda path: shutil.copy(path / "cat" / "0.bmp", path / "cat" / "9.bmp"),
        lambda path: (path / "dog" / "0.bmp").rename(path / "cat" / "9.bmp"),
    ],
)
def test_a_folder_that_has_changed_is_read_again(pictures, reads, change):
    before = shelf.shared(pictures).digest
    change(Path(pictures.path))
    after = shelf.shared(pictures)
    assert after.digest == image_folder.Config.load(pictures).digest
    assert after.digest != before


def test_what_changes_within_a_tick_of_the_clock_is_seen(tmp_path):
    """The clock of a file system stands still for some thousandths of a second, in which a file may change twice."""
    file = tmp_path / "file"
    for number in range(5):
        file.write_text(f"{number}")
        began = time.monotonic()
        states = {files.state_of([file])}
        assert time.monotonic() - began > files._TICK_S / 2
        file.write_text(f"{number + 5}")
        assert files.state_of([file]) not in states


def test_other_settings_are_another_copy(pictures, reads):
    shelf.shared(pictures)
    assert shelf.shared(image_folder.Config(path=pictures.path, greyscale=True)).shape == (1, 8, 8)
    assert len(copies()) == 2


def test_a_damaged_copy_is_made_anew(pictures, reads):
    digest = shelf.shared(pictures).digest
    for damage in (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:50]):
        inputs = copies()[0] / "inputs.npy"
        inputs.write_bytes(damage(inputs.read_bytes()))
        assert shelf.shared(pictures).digest == digest
    assert reads() == 3


def test_what_was_not_used_for_longest_makes_room_and_what_is_in_use_stays(tmp_path, reads, monkeypatch):
    configs = [image_folder.Config(path=str(folder_of_pictures(tmp_path / str(n), n))) for n in range(4)]
    used = shelf.shared(configs[0])
    for config in configs[1:3]:
        shelf.shared(config)
    shelf.shared(configs[1])  # so that the second is older than the third in use
    assert (before := reads()) == 3
    size = sum(file.stat().st_size for file in copies()[0].iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 4 * size))
    shelf.shared(configs[3])
    assert len(copies()) == 3
    for config in (configs[0], configs[1], configs[3]):
        shelf.shared(config)
    assert reads() == before + 1
    assert used.labels.tolist() == [0] * 3 + [1] * 3
    shelf.shared(configs[2])
    assert reads() == before + 2


def test_without_room_each_process_reads_for_itself(pictures, reads, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 100))
    assert shelf.shared(pictures).digest == image_folder.Config.load(pictures).digest
    assert copies() == []
    assert reads() == 2


def test_a_cache_that_cannot_be_written_to_is_no_failure(pictures, reads, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(shelf.shared(pictures).labels) == 6
    assert reads() == 1


def test_drafts_of_killed_readers_go_when_room_is_made(pictures, reads):
    old = shelf.cache().with_name("data") / ".abc.building"
    old.mkdir(parents=True)
    shelf.shared(pictures)
    assert not old.exists()


def test_what_cannot_be_read_is_said_as_ever(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        load(image_folder.Config(path=str(tmp_path / "nowhere")))


def test_data_that_are_quickly_made_are_not_kept():
    load(digits.Config())
    assert copies() == []


def test_a_commit_of_the_hub_is_known_without_asking_it(monkeypatch):
    monkeypatch.setattr(huggingface.Config, "_read", lambda _: pytest.fail("it was read"))
    assert huggingface.Config(path="owner/name", revision="a" * 40).version() == "a" * 40


def test_a_branch_of_the_hub_is_what_it_is_now(monkeypatch):
    datasets = pytest.importorskip("datasets")
    states = [datasets.Dataset.from_dict({"image": [[n]], "label": [0]}) for n in (1.0, 2.0)]
    found = []
    for state in states:
        monkeypatch.setattr(huggingface.Config, "_read", lambda _, state=state: {"train": state})
        found.append(huggingface.Config(path="owner/name", revision="main").version())
    assert found[0] != found[1]

"""What strangers can hand to Assay: sweep files, run folders, checkpoints. Each target reads bad ones of its kind.

A target raises for what should not happen. The errors of ours that say what is wrong with an input are what should.
"""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
from mutations import odd_lines, odd_tree, torn

from analysis import frames, records, segments
from analysis.records import LedgerError
from sweeps import document, folder, resolve
from sweeps.check import check
from sweeps.errors import SpecError
from sweeps.ledger import Ledger, RunError
from sweeps.run import configs_of, replay
from sweeps.search import Search
from sweeps.study import SearchError
from trainables import checkpoint, registry
from trainables.registry import TrainableError


class Target(Protocol):
    def __call__(self, rng: Random) -> None:
        """Read one bad input, drawn from ``rng``."""
        ...


class Spec:
    """Sweep files: read, typed, and checked against their trainable."""

    def __init__(self, scratch: Path, sweeps: list[Path]) -> None:
        self._file = scratch / "mutant.yaml"
        self._texts = [path.read_bytes() for path in sweeps]
        self._trees = [document.read(path).tree for path in sweeps]

    def __call__(self, rng: Random) -> None:
        self._file.write_bytes(self._mutant(rng))
        with contextlib.suppress(SpecError):
            resolved = resolve.load(self._file)
            assert resolve.load(self._written(resolve.dump(resolved))).sweep == resolved.sweep
            if rng.random() < 0.1:  # which takes as long as all else
                check(resolved)

    def _mutant(self, rng: Random) -> bytes:
        if rng.random() < 0.5:
            return torn(rng, rng.choice(self._texts), self._texts)
        return document.write(odd_tree(rng, rng.choice(self._trees))).encode("utf-8", "surrogatepass")

    def _written(self, text: str) -> Path:
        again = self._file.with_name("again.yaml")
        again.write_text(text, encoding="utf-8")
        return again


class Run:
    """Run folders: looked at, loaded as frames, and brought back for a resume."""

    FILES = (records.DECISIONS, records.LOCK_FILE, records.ENVIRONMENT)

    def __init__(self, run: Path) -> None:
        """``run``: a run folder that is changed and put back again and again."""
        self._run = run
        _unpack(run)
        reports = [str(path.relative_to(run)) for path in run.glob("ledger/reports*")]
        self._good = {name: (run / name).read_bytes() for name in (*self.FILES, *reports)}

    def __call__(self, rng: Random) -> None:
        name = rng.choice((records.DECISIONS, *self._good))
        (self._run / name).write_bytes(self._mutant(rng, self._good[name], name))
        try:
            for look in (_status, frames.load, _bring_back):
                with contextlib.suppress(LedgerError, RunError, SearchError, SpecError, TrainableError):
                    look(self._run)
        finally:
            for good, data in self._good.items():
                (self._run / good).write_bytes(data)

    def _mutant(self, rng: Random, data: bytes, name: str) -> bytes:
        if name.endswith(".jsonl") and rng.random() < 0.7:
            return odd_lines(rng, data.splitlines())
        return torn(rng, data, list(self._good.values()))


def _unpack(run: Path) -> None:
    """Have its reports in both forms, as if it was killed while they were moved to Parquet."""
    lines = [records.encode(record) for record in segments.compacted_records(run)]
    (run / "ledger" / "reports-0.jsonl").write_text("".join(lines), encoding="utf-8")


def _status(run: Path) -> None:
    folder.status(run, maximize=folder.maximizes(run))


def _bring_back(run: Path) -> None:
    """What `assay resume` does before it starts anything."""
    sweep = resolve.load(run / records.LOCK_FILE).sweep
    trainable = registry.find(sweep.trainable, folder.search_path(run))
    with Ledger(run).open() as ledger:
        search = Search(sweep, configs_of(sweep, trainable), record=lambda *_, **__: None)
        replay(search, ledger)
        ledger.history()


class Checkpoint:
    """Checkpoints: nothing in one is ever executed, and one that is damaged is as good as none."""

    def __init__(self, scratch: Path) -> None:
        self._folder, self._canary = scratch / "checkpoints", scratch / "executed"
        state = {
            "model": {"weight": torch.arange(12.0).reshape(3, 4)},
            "epoch": 3,
            "text": "é",
            "list": [1, (2.5, None)],
        }
        self._path = checkpoint.save(self._folder, 3, state)
        self._good = self._path.read_bytes()
        self._bombs = [self._good, *(bomb(self._canary) for bomb in (_pickled, _zipped))]

    def __call__(self, rng: Random) -> None:
        self._path.write_bytes(torn(rng, rng.choice(self._bombs), self._bombs))
        found = checkpoint.load(self._folder)
        assert found is None or found.step == 3
        assert not self._canary.exists(), "a checkpoint was executed"


class _Bomb:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (exec, (f"open({str(self._canary)!r}, 'w')",))


def _pickled(canary: Path) -> bytes:
    return pickle.dumps(_Bomb(canary))


def _zipped(canary: Path) -> bytes:
    """A file as torch writes it, with a bomb where the state should be."""
    path = canary.with_name("bomb.pt")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(canary))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return path.read_bytes()

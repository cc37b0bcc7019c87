"""The pictures that trials showed in TensorBoard, for the report: of each cell's winner the last one of each tag."""

from __future__ import annotations

import importlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.answers import Row
from analysis.frames import Run
from analysis.replicates import replicates
from analysis.wording import count, plain

BOARD = "tensorboard"  # the folder in the run: a folder for each cell, and in there one for each trial
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST, _ALL = 2**18, 2**21  # bytes of one picture, and of all in a report
_CELLS = 60


@dataclass(frozen=True)
class Picture:
    caption: str
    source: str  # a data URI


@dataclass(frozen=True)
class Album:
    """The pictures of one tag, in the order of the cells."""

    tag: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Albums:
    albums: tuple[Album, ...] = ()
    left_out: str = ""  # which pictures are not shown, if some are not


@dataclass(frozen=True)
class _Shown:
    tag: str
    step: int
    png: bytes


def albums(run: Run, table: list[Row]) -> Albums:
    """Those of the first confirm seed of each winner that is done, as long as a page can hold them."""
    board = Path(run.path) / BOARD
    found = list(_each(run, table, board)) if board.is_dir() else []
    kept, room = [], _ALL
    for row, seed, shown in found:
        if len(shown.png) <= min(_LARGEST, room):
            room -= len(shown.png)
            kept.append((shown.tag, Picture(f"{row.name}; seed {seed}, step {shown.step}", _uri(shown.png))))
    missing = len(found) - len(kept)
    tags = dict.fromkeys(tag for tag, _ in kept)
    made = [Album(plain(tag, 80), tuple(picture for own, picture in kept if own == tag)) for tag in tags]
    return Albums(tuple(made), f"{count(missing, 'more picture')} would make this page too large" if missing else "")


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _each(run: Run, table: list[Row], board: Path) -> Iterator[tuple[Row, int, _Shown]]:
    done = replicates(run).sort_values("seed", kind="stable").drop_duplicates(["cell", "point"])
    firsts = {(t["cell"], t["point"]): t for t in done.to_dict("records")}
    for row in table[:_CELLS]:
        if trial := firsts.get((row.cell, row.point)):
            yield from ((row, trial["seed"], shown) for shown in _shown(board / row.cell / trial["trial"]))


def _shown(folder: Path) -> list[_Shown]:
    """The last picture of each tag. Files are named in the order of the attempts."""
    last: dict[str, _Shown] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if _PNG in path.read_bytes():  # most trials show none, and TensorBoard takes long to load
            last |= {shown.tag: shown for shown in _read(path)}
    return list(last.values())


def _read(path: Path) -> Iterator[_Shown]:
    """A record that was cut off, and what is no PNG, is left out."""
    loader = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
    event_of = importlib.import_module("tensorboard.compat.proto.event_pb2").Event.FromString
    for event in map(event_of, loader.RawEventFileLoader(str(path)).Load()):
        for value in event.summary.value:
            if value.HasField("image") and value.image.encoded_image_string.startswith(_PNG):
                yield _Shown(value.tag, event.step, value.image.encoded_image_string)

"""Pictures of trials in a report: the right ones, no more than a page can hold, and nothing that is no picture."""

from __future__ import annotations

import base64
import importlib
import io
import re

import numpy as np
import pytest
from PIL import Image
from synthetic import lock, noisy, sweep

from analysis.answers import rows
from analysis.frames import load
from analysis.pictures import albums
from analysis.report import write

HOSTILE = '"><script>alert(1)</script>'


def png(value=0, side=4, noise=False):
    pixels = np.full((side, side, 3), value, np.uint8)
    if noise:
        pixels = np.random.default_rng(value).integers(256, size=pixels.shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def show(path, trial, shown, attempt=1, torn=0):
    """What a trial showed, as TensorBoard has it: (tag, step, bytes), ..."""
    pb = importlib.import_module("tensorboard.compat.proto.event_pb2")
    summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
    writer_of = importlib.import_module("tensorboard.summary.writer.record_writer").RecordWriter
    folder = path / "tensorboard" / trial["cell"] / trial["trial"]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"events.out.tfevents.{attempt:06d}.host"
    writer = writer_of(file.open("wb"))
    for tag, step, data in shown:
        value = summaries.Value(tag=tag, image=summaries.Image(encoded_image_string=data))
        writer.write(pb.Event(step=step, summary=summaries(value=[value])).SerializeToString())
    writer.close()
    file.write_bytes(file.read_bytes()[: -torn or None])


@pytest.fixture
def run(tmp_path):
    sweep(tmp_path, lock({"model.name": ["mlp", "cnn"]}), noisy(lambda _: 0.9))
    return tmp_path


def confirms(run):
    trials = load(run).trials
    return trials.loc[trials["phase"] == "confirm"].sort_values(["cell", "seed"]).to_dict("records")


def shown(run):
    """The albums of a run, and the pictures in them as bytes."""
    loaded = load(run)
    found = albums(loaded, rows(loaded))
    pictures = [picture for album in found.albums for picture in album.pictures]
    return found, [base64.b64decode(p.source.removeprefix("data:image/png;base64,")) for p in pictures]


def test_the_last_picture_of_the_first_confirm_seed_of_each_cell_is_shown(run):
    for number, trial in enumerate(confirms(run)):
        show(run, trial, [("decisions", 1, png(200)), ("decisions", 2, png(number))])
    cells = [trial["cell"] for trial in confirms(run)]
    found, data = shown(run)
    assert sorted(data) == sorted(png(cells.index(cell)) for cell in set(cells))
    assert [p.caption for p in found.albums[0].pictures] == ["mlp; seed 1000, step 2", "cnn; seed 1000, step 2"]


def test_what_a_later_attempt_showed_replaces_what_an_earlier_one_did(run):
    first = confirms(run)[0]
    show(run, first, [("decisions", 1, png(1)), ("decisions", 2, png(2))])
    show(run, first, [("decisions", 2, png(3))], attempt=2)
    assert shown(run)[1] == [png(3)]


def test_pictures_that_are_too_large_are_counted_instead(run):
    large = png(1, 400, noise=True)
    assert len(large) > 2**18
    show(run, confirms(run)[0], [("large", 1, large), ("small", 1, png(2))])
    found, data = shown(run)
    assert data == [png(2)]
    assert found.left_out == "1 more picture would make this page too large"


def test_all_pictures_together_stay_below_two_megabytes(run):
    show(run, confirms(run)[0], [(f"n{n}", 1, png(n, 280, noise=True)) for n in range(20)])
    _, data = shown(run)
    assert 0 < sum(map(len, data)) <= 2**21
    assert len(data) < 20


def test_a_record_that_was_cut_off_is_left_out(run):
    show(run, confirms(run)[0], [("one", 1, png(1)), ("two", 1, png(2))], torn=7)
    assert shown(run)[1] == [png(1)]


def test_a_run_without_pictures_has_no_albums(run):
    assert shown(run)[0].albums == ()
    show(run, confirms(run)[0], [("decisions", 1, b"GIF89a")])
    assert shown(run)[0].albums == ()


def test_on_the_page_tags_are_text_and_what_is_no_png_is_not_shown(run):
    show(run, confirms(run)[0], [(HOSTILE, 1, png(1)), ("other", 1, b"<svg onload=alert(1)>\x89PNG\r\n\x1a\n")])
    text = write(run).read_text(encoding="utf-8")
    assert "What trials showed" in text
    assert re.findall(r'<img src="([^"]*)"', text) == [f"data:image/png;base64,{base64.b64encode(png(1)).decode()}"]
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: mlp; seed 1000" in text

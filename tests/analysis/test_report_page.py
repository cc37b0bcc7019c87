import base64
import csv
import hashlib
import html
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import Folder, lock, noisy, sweep

from analysis import stats
from analysis.answers import Row, names, places
from analysis.frames import compact, load
from analysis.records import DECISIONS, LOCK_FILE
from analysis.report import summary, write

HOSTILE = "<script>alert(1)</script> & \"q\" 's' $x$ {{ 7*7 }} | `t` --> \n\t\x00\u202e\u2066\u200f 日本 " + "x" * 300
TOP = {"mlp": 0.90, "cnn": 0.95, "vit": 0.95}
GREATER = {"name": "cnn wins", "metric": "accuracy/test", "where": {"model.name": "cnn"}, "expect": "greater"}
GREATER = {**GREATER, "against": {"model.name": "mlp"}}


def by_model(levels):
    return TOP[levels["model.name"]]


def made(path, models=("mlp", "cnn"), claims=(GREATER,), **more):
    document = lock({"model.name": list(models)}, claims=list(claims), **more.pop("lock", {}))
    return sweep(path, document, noisy(by_model), **more)


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page(path):
    return Page(write(path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A run with its report. The tests that take it only look."""
    path = tmp_path_factory.mktemp("usual")
    made(path)
    write(path)
    return path


def html_of(path):
    return (path / "report/index.html").read_text(encoding="utf-8")


def test_the_page_answers_the_question(usual):
    text = Page(html_of(usual)).text
    for part in (
        "quickstart",
        "Does a convolution help on eight by eight digits?",
        "arXiv:2406.11463",
        "cnn has the highest accuracy/test",
        "The difference to mlp is significant.",
        "cnn wins",
        "holds",
        "optimizer.lr",
        "assay run sweep.lock.yaml",
        "2.13.0",
        "No trial diverged, failed or was lost.",
    ):
        assert part in text


def test_the_page_stands_alone(usual):
    text = html_of(usual)
    found = Page(text)
    assert not {"link", "iframe", "img", "object"} & set(found.tags)
    assert found.tags.count("script") == 1
    references = [value for name, value in found.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith("#") for value in references)
    assert not re.search(r"https?://|src=|@import|url\((?!#)", text)
    assert "prefers-color-scheme" in text
    assert "@media print" in text


def outputs(path):
    write(path)
    return {file.name: file.read_bytes() for file in sorted((path / "report").iterdir())}


def test_the_same_ledger_gives_the_same_bytes(tmp_path):
    made(tmp_path)
    first = outputs(tmp_path)
    assert set(first) == {"index.html", "report.md", "answer.csv", "trials.csv", "answer.tex", "claims.tex"}
    assert outputs(tmp_path) == first
    compact(tmp_path)
    assert outputs(tmp_path) == first
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert outputs(moved) == first


def test_it_can_be_written_elsewhere(tmp_path):
    made(tmp_path / "run")
    assert write(tmp_path / "run", tmp_path / "out") == tmp_path / "out/index.html"
    assert not (tmp_path / "run/report").exists()


def table(path, name):
    return list(csv.DictReader(io.StringIO((path / "report" / name).read_text(encoding="utf-8"))))


def test_the_numbers_are_those_of_the_replicates(usual):
    trials = table(usual, "trials.csv")
    for row in table(usual, "answer.csv"):
        mine = [t for t in trials if t["cell"] == row["cell"] and t["phase"] == "confirm"]
        values = [float(t["accuracy/test"]) for t in mine]
        known = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert len(values) == int(row["accuracy/test seeds"]) == 8
        assert float(row["accuracy/test"]) == pytest.approx(np.mean(values))
        assert (float(row["accuracy/test low"]), float(row["accuracy/test high"])) == pytest.approx(tuple(known))
        assert {t["optimizer.lr"] for t in mine} == {row["optimizer.lr"]}
    assert len(trials) == 2 * (6 + 8)


def test_markdown_tables_are_tables(tmp_path):
    sweep(tmp_path, lock({HOSTILE: [HOSTILE, "b"]}, sweep=HOSTILE), noisy(lambda _: 0.9))
    write(tmp_path)
    blocks = re.findall(r"(?:^\|.*\n)+", (tmp_path / "report/report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1


def test_hostile_names_are_text(tmp_path):
    claim = {"name": HOSTILE, "metric": "accuracy/test", "where": {HOSTILE: HOSTILE}, "expect": "between", "low": 0.5}
    document = lock(
        {HOSTILE: [HOSTILE, HOSTILE + "2"]}, claims=[claim], sweep=HOSTILE, question=HOSTILE, source=HOSTILE
    )
    folder = sweep(tmp_path, document, noisy(lambda _: 0.9), points=2, seeds=5)
    folder.plan(HOSTILE, "c0")
    folder.run(HOSTILE, [{HOSTILE: 1.0, "accuracy/test": 0.1}], "failed", error=HOSTILE)
    first = outputs(tmp_path)
    assert outputs(tmp_path) == first
    for name in ("index.html", "report.md", "answer.tex", "claims.tex"):  # nothing turns the text around
        assert not set("\u202e\u2066\u200f\x00") & set(first[name].decode()), name
    found = Page(first["index.html"].decode())
    assert found.tags.count("script") == 1
    assert "i" not in found.tags
    assert "49" not in found.text.split("alert(1)")[1][:60]  # templates inside names are not run
    assert found.text.count("<script>alert(1)</script>") >= 6
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert summary(load(tmp_path)).verdicts[0][0] == "holds"


def test_cells_that_overlap_are_not_ranked(tmp_path):
    made(tmp_path, models=("mlp", "cnn", "vit"))
    answer = summary(load(tmp_path)).answer
    assert "It cannot be told apart from" in answer
    assert "mlp" not in answer


def test_the_best_is_the_lowest_where_it_is_minimized(tmp_path):
    made(tmp_path, lock={"objective": {"minimize": "loss/test"}})
    assert summary(load(tmp_path)).answer.startswith("cnn has the lowest loss/test: 0.1")


def test_before_anything_has_finished(tmp_path):
    Folder(tmp_path, lock({"model.name": ["mlp"]}, claims=[GREATER])).decide("run", event="started", seconds=0)
    found = summary(load(tmp_path))
    assert found.answer == "No confirm replicate has finished yet, so there is no answer."
    assert found.verdicts[0][0] == "untestable"
    assert ("unfinished", "The run is not finished (started).") in found.threats
    assert found.answer in page(tmp_path).text


def test_while_it_is_tuning(tmp_path):
    folder = made(tmp_path, finished=False)
    lines = (tmp_path / DECISIONS).read_text().splitlines(keepends=True)
    winner = next(i for i, line in enumerate(lines) if '"winner"' in line)
    (tmp_path / DECISIONS).write_text("".join(lines[:winner]))
    folder.plan("next", "c0")
    folder.decide("started", trial="next", attempt=1)
    found = summary(load(tmp_path))
    assert found.threats[:2] == (
        ("unfinished", "The run is not finished (started): 1 running."),
        ("missing cells", "1 cell without a winner: the only cell."),
    )
    assert [row[-2] for row in found.table] == ["0"]
    assert "optimizer.lr" in page(tmp_path).text  # what was tuned so far


def test_failures_are_counted_by_their_message(tmp_path):
    folder = made(tmp_path)
    trace = 'Traceback (most recent call last):\n  File "a.py", line 3\nRuntimeError: out of memory\n'
    for n in range(3):
        folder.plan(f"bad{n}", "c0", "tune", f"bad{n}")
        folder.run(f"bad{n}", [], "failed", error=trace)
    folder.plan("nan", "c1", "tune", "nan")
    folder.run("nan", [{"accuracy/validation": math.nan}], "diverged", error="loss is nan")
    text = page(tmp_path).text
    assert "failed RuntimeError: out of memory 3 bad0" in text
    assert "diverged loss is nan 1 nan" in text
    assert re.search(r"cell done diverged failed trial-hours mlp 14 0 3 0\.\d+ cnn 14 1 0", text)


def test_several_objectives_list_the_front(tmp_path):
    goals = [{"maximize": "accuracy"}, {"minimize": "size"}]
    folder = Folder(tmp_path, lock({"model.name": ["mlp"]}, objective=goals))
    folder.decide("run", event="finished", seconds=3)
    folder.decide("cell", cell="c0", levels={"model.name": "mlp"})
    for n, point in enumerate("ab"):
        folder.decide("asked", cell="c0", number=n, point=point, params={"width": 8 * (n + 1)})
        for seed in range(1000, 1005):
            folder.plan(f"{point}{seed}", "c0", "confirm", point, seed)
            metrics = {"accuracy": 0.8 + 0.1 * n + seed % 7 / 1000, "size": 100.0 * (n + 1)}
            folder.run(f"{point}{seed}", [metrics])
    folder.decide("winner", cell="c0", points=["a", "b"])
    found = summary(load(tmp_path))
    assert found.answer == "2 confirmed points on the fronts of 1 cell; the table lists them."
    assert [row[-1].replace("\xa0", " ") for row in found.table] == ["width = 8", "width = 16"]
    assert found.table[1][2] == "200 [200, 200]"
    assert "The fronts" in page(tmp_path).text


def test_what_the_lock_does_not_say_is_left_out(tmp_path):
    folder = Folder(tmp_path, {"objective": {"maximize": "m"}})
    folder.decide("cell", cell="c", levels={})
    folder.plan("t", "c", "confirm", "p", 1000)
    folder.run("t", [{"m": 0.5}])
    found = summary(load(tmp_path))
    assert found.answer == "In the only cell, m is 0.5 (one seed, so no interval)."
    assert found.sweep == "sweep"
    assert page(tmp_path).tags


def test_the_lock_file_is_there_to_copy(usual):
    text = html_of(usual)
    assert "optimizer.lr:" in Page(text).text
    inside = re.search(r'<code class="copies">(.*?)</code>', text, re.DOTALL)
    assert inside
    assert html.unescape(inside[1]) == (usual / LOCK_FILE).read_text(encoding="utf-8")


def test_only_the_script_of_the_page_may_run(usual):
    text = html_of(usual)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_gpu_hours_are_those_of_all_workers(tmp_path):
    made(tmp_path, lock={"resources": {"gpus": 0.5, "workers": 4}})
    text = page(tmp_path).text
    assert "56 s of trial time, 0.0311 GPU-hours" in text  # 28 trials of 2 s on 2 GPUs
    assert re.search(r"trial-hours GPU-hours mlp 14 0.00778 0.0156", text)


def test_a_large_sweep_stays_small(tmp_path):
    names = [f"m{n}" for n in range(120)]
    document = lock({"model.name": names}, nuisance={})
    folder = Folder(tmp_path, document)
    for n, name in enumerate(names):
        folder.decide("cell", cell=f"c{n}", levels={"model.name": name})
        folder.decide("winner", cell=f"c{n}", points=["p"])
        for seed in (1000, 1001):
            folder.plan(f"{n}-{seed}", f"c{n}", "confirm", "p", seed)
            folder.run(f"{n}-{seed}", [{"accuracy/test": n / 200, "accuracy/validation": n / 200}] * 2)
    found = page(tmp_path)
    assert "Only the 40 best cells of 120 are shown." in found.text
    assert "Only the 12 best cells of 120 are shown." in found.text
    assert len((tmp_path / "report/index.html").read_bytes()) < 700_000
    assert ("class", "scroll tall") in found.attributes
    legend = re.search(r'<ul class="legend">(.*?)</ul>', (tmp_path / "report/index.html").read_text(), re.DOTALL)
    assert legend
    swatches = re.findall(r"<li>(<svg.*?</svg>)\s*m(\d+)</li>", legend[1], re.DOTALL)
    assert [int(name) for _, name in swatches] == list(range(108, 120))  # the best cells, each with a look of its own
    assert len({re.sub(r"swatch\d+", "", svg) for svg, _ in swatches}) == 12


def test_figures_that_a_phone_would_shrink_too_far_are_marked(usual):
    text = html_of(usual)
    broad = {int(width) for width in re.findall(r'<div class="broad"><svg [^>]*width="(\d+)"', text)}
    others = {int(width) for width in re.findall(r'<div><svg [^>]*width="(\d+)"', text)}
    assert broad
    assert max(others) < min(broad)


def test_cells_where_a_rate_is_zero_in_every_seed_do_not_take_the_decimals_of_the_others():
    of = {"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [0.021, 0.025]}
    table = [Row(c, c, {}, "", {}, 2, 2, {"error": stats.mean(values)}, {}) for c, values in of.items()]
    assert places(table, "error") >= 3
    assert places(table[:2], "error") == 0


def test_cells_are_not_called_by_what_follows_from_another_factor():
    zipped = pd.DataFrame(
        {"method": ["a", "a", "b", "b"], "noise": [0, 1, 0, 1], "rate": [0.1, 0.1, 0.2, 0.2]}, index=[*"wxyz"]
    )
    assert list(names(zipped).values()) == ["a · noise 0", "a · noise 1", "b · noise 0", "b · noise 1"]
    finer = zipped.rename(columns={"rate": "first"})[["first", "noise"]].assign(method=[*"abcc"])
    assert len({*names(finer).values()}) == 4

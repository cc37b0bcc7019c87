"""Where runs are found, how parts are merged, what older ledgers and quick paths give, and what is exported."""

import json
import math
import subprocess
import sys
import uuid

import fsspec
import pandas as pd
import pytest
from synthetic import Folder, lock, noisy, sweep

import analysis
from analysis import export, plain_reports, segments
from analysis.frames import compact
from analysis.frames import load as load_folder
from analysis.records import DECISIONS, LOCK_FILE, VERSION, LedgerError

FRAMES = ("trials", "attempts", "reports", "cells", "points", "judged", "winners", "notes", "events")


def same(a, b, but=()):
    for name in FRAMES:
        if name not in but:
            pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one sweep, and one of another."""
    root = tmp_path_factory.mktemp("runs")
    for path in ("quickstart/1", "quickstart/2", "other/1"):
        document = lock({"model.name": ["mlp", "cnn"]}, sweep=path.partition("/")[0])
        sweep(root / path, document, noisy(lambda _: 0.9), points=2, seeds=2)
    return root


# --- places ----------------------------------------------------------------------------------------------------------


def test_import_is_light():
    code = "import sys, analysis; assert 'load' in analysis.__all__; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="'lod'"):
        analysis.lod  # noqa: B018


def test_a_run_a_folder_of_runs_and_a_path(runs):
    one = analysis.load(runs / "quickstart" / "2")
    same(one, load_folder(runs / "quickstart" / "2"))
    assert analysis.load(str(runs / "quickstart")).path == one.path  # the latest


def test_patterns_and_lists(runs):
    assert list(analysis.load_each(f"{runs}/*/*")) == ["other/1", "quickstart/1", "quickstart/2"]
    assert list(analysis.load_each([runs / "other" / "1", f"{runs}/quickstart/[2]"])) == ["other/1", "quickstart/2"]


def test_names_are_as_long_as_they_need_to_be(runs, tmp_path):
    for machine in ("a", "b"):
        sweep(tmp_path / machine / "runs" / "x", lock({}), noisy(lambda _: 0.9), points=1, seeds=0)
    assert list(analysis.load_each(f"{tmp_path}/*/runs/x")) == ["a/runs/x", "b/runs/x"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("{root}/none", "none: no such folder"),
        ("{root}/quickstart/9*", r"9\*: no run folder matches"),
        ("{root}", "not a run folder"),
        ("memory://nothing-here", "memory://nothing-here"),
        ("nope://x", "nope://x: Protocol not known"),
        ("{root}/*/*", "not parts of one sweep: quickstart/1 has sweep quickstart, other/1 has other"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(runs, where, message):
    with pytest.raises(LedgerError, match=message) as caught:
        analysis.load(where.format(root=runs))
    assert "\n" not in str(caught.value)


@pytest.fixture
def bucket(runs):
    """The runs in a store of objects."""
    store, name = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    store.put(str(runs), name, recursive=True)
    yield f"memory:/{name}"
    store.rm(name, recursive=True)


def test_a_store_gives_the_same_frames(runs, bucket):
    local = analysis.load(runs / "quickstart" / "2")
    same(local, analysis.load(f"{bucket}/quickstart/2"))
    same(local, analysis.load(f"{bucket}/quickstart"))
    assert list(analysis.load_each(f"{bucket}/*/*")) == ["other/1", "quickstart/1", "quickstart/2"]
    same(local, analysis.load(f"file://{runs}/quickstart/2"))


def test_a_compacted_run_in_a_store(runs, bucket, tmp_path):
    sweep(tmp_path, lock({}), noisy(lambda _: 0.9), points=2, seeds=2)
    before = analysis.load(tmp_path)
    compact(tmp_path)
    fsspec.filesystem("memory").put(f"{tmp_path}/", f"{bucket.removeprefix('memory:/')}/compacted", recursive=True)
    same(before, analysis.load(f"{bucket}/compacted"))


def test_damage_in_a_store_names_the_store(bucket):
    path = f"{bucket}/quickstart/1/{DECISIONS}"
    with fsspec.open(path, "a") as file:
        file.write("{]\n")
    with pytest.raises(LedgerError, match=r"^memory://\S+/quickstart/1/ledger/decisions.jsonl:39: damaged record"):
        analysis.load(f"{bucket}/quickstart/1")


# --- merging ---------------------------------------------------------------------------------------------------------


def part(path, cells, seeds=(1000, 1001), outcome="done", worth=0.5):
    """A machine's share of a sweep: some cells, tuned to one point each, and some of their seeds."""
    folder = Folder(path, lock({"a": ["0", "1", "2"]}))
    for cell in cells:
        folder.decide("cell", cell=cell, levels={"a": cell[1:]})
        folder.decide("asked", cell=cell, number=0, point=f"p{worth}", params={"lr": worth})
        folder.decide("told", cell=cell, number=0, state="COMPLETE", values=[worth])
        folder.decide("winner", cell=cell, points=[f"p{worth}"])
        for seed in seeds:
            folder.plan(f"{cell}-{seed}", cell, "confirm", f"p{worth}", seed)
            folder.run(f"{cell}-{seed}", [{"m": seed / 1000}, {"m": worth}], outcome)
    return folder


def test_cells_of_two_machines_make_one_run(tmp_path):
    part(tmp_path / "a", ["c0", "c1"])
    part(tmp_path / "b", ["c2"])
    run = analysis.load(f"{tmp_path}/*")
    assert run.cells["a"].to_dict() == {"c0": "0", "c1": "1", "c2": "2"}
    assert len(run.trials) == len(set(run.trials["trial"])) == 6
    assert run.reports.groupby("trial", observed=True).size().to_dict() == dict.fromkeys(run.trials["trial"], 2)
    assert run.winners["cell"].tolist() == ["c0", "c1", "c2"]


def test_of_a_trial_in_both_the_one_that_came_further_is_kept_whole(tmp_path):
    part(tmp_path / "a", ["c0"], seeds=(1000, 1001), outcome="cancelled", worth=0.1)
    part(tmp_path / "b", ["c0"], seeds=(1001, 1002), worth=0.2)
    run = analysis.load(f"{tmp_path}/*")
    outcomes = run.trials.set_index("trial")["outcome"].to_dict()
    assert outcomes == {"c0-1000": "cancelled", "c0-1001": "done", "c0-1002": "done"}
    values = run.reports[run.reports["step"] == 2].set_index("trial")["value"].to_dict()
    assert values == {"c0-1000": 0.1, "c0-1001": 0.2, "c0-1002": 0.2}


def test_merging_is_a_union_of_sets(runs):
    twice = analysis.load([runs / "quickstart" / "1", runs / "quickstart" / "2"])
    once = analysis.load(runs / "quickstart" / "1")
    same(once, twice, but=("events",))


@pytest.mark.parametrize(("worths", "winner"), [((0.4, 0.6), "p0.6"), ((0.6, 0.4), "p0.6"), ((0.5, 0.5), "p0.5")])
def test_the_better_of_two_searches_wins(tmp_path, worths, winner):
    for machine, worth in zip("ab", worths, strict=True):
        part(tmp_path / machine, ["c0"], worth=worth)
    run = analysis.load(f"{tmp_path}/*")
    assert run.winners["point"].tolist() == [winner]
    assert not run.points.duplicated(["cell", "number"]).any()


def test_runs_of_other_code_are_not_merged(tmp_path):
    for machine in "ab":
        folder = part(tmp_path / machine, ["c0"])
        (folder.path / "code").mkdir()
        (folder.path / "code" / "train.py").write_text(f"NAME = {machine!r}\n")
    with pytest.raises(LedgerError, match=r"b has code \w{12}, .*a has \w{12}; `assay compare`"):
        analysis.load(f"{tmp_path}/*")


# --- frames ----------------------------------------------------------------------------------------------------------


def test_attempts_and_judgements(tmp_path):
    folder = Folder(tmp_path, lock({}))
    folder.decide("cell", cell="c", levels={})
    folder.plan("t")
    folder.run("t", [{"m": 1.0}], "lost", error="killed")
    folder.decide("started", trial="t", attempt=2)
    folder.decide("judged", cell="c", number=0, step=1, value=math.inf, prune=True)
    run = analysis.load(tmp_path)
    assert run.attempts["outcome"].tolist() == ["lost", "running"]
    assert (run.attempts["ended"] - run.attempts["started"]).tolist()[0] == 2.0
    assert math.isnan(run.attempts["ended"].tolist()[1])
    assert run.judged.to_dict("records") == [{"cell": "c", "number": 0, "step": 1, "value": math.inf, "prune": True}]


# --- plain reports ---------------------------------------------------------------------------------------------------

AWKWARD = [
    {"loss": 1, "accuracy": 0.5},
    {"loss": 2.5},
    {"accuracy": 1},
    {"loss": math.nan, "accuracy": math.inf},
    {'quoted " name': 1.0, "NaN": 2.0, "a/b é": -0.0},
    {"loss": 1e300},
    {},
]


def test_both_readers_of_reports_agree(tmp_path, monkeypatch):
    folder = Folder(tmp_path, lock({}))
    for number, metrics in enumerate(AWKWARD * 3):
        folder.report(f"20261121T00000{number % 4}", number, metrics, attempt=1 + number // 9)
        folder.note("t", "kind", {"kind": "report"})
    quick = load_folder(tmp_path)
    monkeypatch.setattr(segments, "read_plain", lambda _: None)
    same(quick, load_folder(tmp_path))
    assert len(quick.reports) == 3 * sum(map(len, AWKWARD))


def test_most_lines_take_the_quick_way(tmp_path):
    folder = Folder(tmp_path, lock({}))
    for step in range(10):
        folder.report("t", step, {"loss": step / 3, "n": step})
        folder.note("t", f"n{step}", step)
    plain, odd = plain_reports.parted((tmp_path / "ledger/reports-0.jsonl").read_bytes())
    assert [json.loads(line)["key"] for line in odd] == [f"n{step}" for step in range(10)]
    assert plain_reports.read_plain(plain).num_rows == 20


HEAD = '{"v":1,"kind":"report","time":1.0,"trial":"t","attempt":1,"step":'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (HEAD + "2,", "damaged record"),
        (HEAD + '2,"metrics":{"m":1}}' + HEAD + '3,"metrics":{"m":1}}', "damaged record"),
        (HEAD.replace('"v":1', '"v":99') + '2,"metrics":{"m":1}}', "newer version"),
        (HEAD.replace('"v":1', '"v":"x"') + '2,"metrics":{"m":1}}', "no schema version"),
        ("", "damaged record"),
        ("[]", "not a mapping with a kind"),
        (HEAD + '2,"metrics":{"m":"low"}}', "damaged record: report: metrics is "),
        (HEAD + '2,"metrics":null}', "damaged record: report: metrics is "),
        (HEAD + "2}", "damaged record: report: metrics is "),
        (HEAD + '2,"metrics":{"m":1},"\udcff":1}', "damaged record"),  # a byte that is no text
        (HEAD + '2,"metrics":{"\udcff":1}}', "damaged record"),
    ],
)
def test_damage_among_a_thousand_good_lines_is_found(tmp_path, line, message):
    folder = Folder(tmp_path, lock({}))
    path = folder.path / "ledger/reports-0.jsonl"
    good = [HEAD + f'{step},"metrics":{{"m":0.5}}}}' for step in range(1000)]
    path.write_text("\n".join([*good[:700], line, *good[700:], ""]), "utf-8", errors="surrogateescape")
    with pytest.raises(LedgerError, match=message) as caught:
        load_folder(tmp_path)
    assert "reports-0.jsonl:701: " in str(caught.value)


# --- older schemas ---------------------------------------------------------------------------------------------------

VERSION_0 = """
{"kind": "run", "event": "started"}
{"kind": "cell", "cell": "c", "levels": {"a": "1"}}
{"kind": "asked", "cell": "c", "number": 0, "point": "p", "params": {"lr": 0.1}}
{"kind": "planned", "trial": "t", "cell": "c", "phase": "tune", "point": "p", "seed": 0, "config": {}}
{"kind": "started", "trial": "t"}
{"kind": "done", "trial": "t"}
{"kind": "told", "cell": "c", "number": 0, "state": "COMPLETE", "value": 0.25}
{"kind": "winner", "cell": "c", "point": "p"}
{"kind": "planned", "trial": "u", "cell": "c", "phase": "confirm", "point": "p", "seed": 1000, "config": {}}
{"kind": "started", "trial": "u"}
{"kind": "failed", "trial": "u"}
"""
REPORTS_0 = """
{"kind": "report", "trial": "t", "step": 1, "metrics": {"m": 0.5}}
{"kind": "report", "trial": "t", "step": 2, "metrics": {"m": "NaN"}}
{"kind": "note", "trial": "t", "key": "data", "value": "abc"}
"""


def test_a_ledger_of_version_0_is_read(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / DECISIONS).write_text(VERSION_0.lstrip())
    (tmp_path / "ledger/reports-old.jsonl").write_text(REPORTS_0.lstrip())
    run = analysis.load(tmp_path)
    assert run.points.to_dict("records") == [
        {"cell": "c", "number": 0, "point": "p", "params": {"lr": 0.1}, "state": "COMPLETE", "values": [0.25]}
    ]
    assert run.winners.to_dict("records") == [{"cell": "c", "point": "p", "params": {"lr": 0.1}}]
    assert run.trials[["trial", "outcome", "attempts", "error"]].to_dict("records") == [
        {"trial": "t", "outcome": "done", "attempts": 1, "error": ""},
        {"trial": "u", "outcome": "failed", "attempts": 1, "error": ""},
    ]
    assert run.reports["value"].tolist()[0] == 0.5
    assert run.reports["step"].tolist() == [1, 2]
    assert run.notes["value"].tolist() == ["abc"]
    compact(tmp_path)
    same(run, analysis.load(tmp_path))


def test_versions_may_change_within_a_file(tmp_path):
    folder = Folder(tmp_path, lock({}))
    (tmp_path / DECISIONS).write_text(VERSION_0.lstrip())
    folder.decide("told", cell="c", number=0, state="COMPLETE", values=[0.75])
    assert analysis.load(tmp_path).points["values"].tolist() == [[0.75]]
    assert VERSION == 1, "a new version needs an upgrade from the one before, and a ledger of that one here"


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_writes_every_table_twice(runs, tmp_path):
    found = analysis.load_each(f"{runs}/quickstart/*")
    written = export.write(found, tmp_path)
    assert len(written) == 2 * len(export.tables(next(iter(found.values()))))
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    for path in written:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            assert list(frame) == list(pd.read_csv(path.with_suffix(".csv")))
            assert frame.columns[0] == "run"
    reports = pd.read_parquet(tmp_path / "reports.parquet")
    assert len(reports) == sum(len(run.reports) for run in found.values())
    one = reports[reports["run"] == "quickstart/2"].reset_index(drop=True)
    assert one["value"].tolist() == found["quickstart/2"].reports["value"].tolist()
    trials = pd.read_csv(tmp_path / "trials.csv")
    assert json.loads(trials["config"][0]) == {"seed": 0}
    assert trials["optimizer.lr"].notna().all()
    assert pd.read_csv(tmp_path / "points.csv")["accuracy/validation"].tolist() == [0.5] * 8


def test_export_of_mixtures_and_of_nothing(tmp_path):
    folder = Folder(tmp_path / "run", lock({"run": ["x"]}))
    folder.decide("cell", cell="c", levels={"run": "x"})
    for number, value in enumerate((1, "auto", True, None, 0.5)):
        folder.decide("asked", cell="c", number=number, point=f"p{number}", params={"lr": value, "n": 3})
    export.write(analysis.load_each(tmp_path / "run"), tmp_path / "out")
    points = pd.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["lr"].tolist()[:3] == ["1", "auto", "true"]
    assert points["n"].tolist() == [3] * 5
    assert pd.read_parquet(tmp_path / "out" / "trials.parquet").empty
    assert set(pd.read_parquet(tmp_path / "out" / "cells.parquet")) == {"run (folder)", "cell", "run"}


def test_a_lock_file_alone_is_an_empty_run(tmp_path):
    (tmp_path / LOCK_FILE).write_text("sweep: x\n")
    assert analysis.load(tmp_path).trials.empty

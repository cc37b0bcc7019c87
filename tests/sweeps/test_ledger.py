"""What is written comes back, once, also after kills."""

from __future__ import annotations

import json
import math

import pytest

from analysis import records
from analysis.segments import compact
from cluster.work import Report
from sweeps.ledger import Ledger, LedgerSink
from trainables.api import Order


def order(trial="t1", attempt=1):
    return Order(trial=trial, trainable="x", config={}, seed=0, attempt=attempt)


def test_decisions_come_back_in_order(tmp_path):
    with Ledger(tmp_path).open() as ledger:
        ledger.record("planned", trial="t1", cell="c", phase="tune", point="p", seed=0, config={"lr": 0.1})
        ledger.record("started", trial="t1", attempt=1)
    with Ledger(tmp_path).open() as ledger:
        assert [r["kind"] for r in ledger.records] == ["planned", "started"]
        assert ledger.records[0]["config"] == {"lr": 0.1}


def test_the_same_decision_is_written_once_over_all_lives(tmp_path):
    for _ in range(2):
        with Ledger(tmp_path).open() as ledger:
            ledger.record("done", trial="t1", attempt=1, seconds=1.0, error="", values={})
            ledger.record("started", trial="t1", attempt=2)
    assert [r["kind"] for r in records.read_decisions(tmp_path).records] == ["done", "started"]


def test_numbers_that_json_lacks_survive(tmp_path):
    sink = LedgerSink(tmp_path, order())
    sink.report(1, {"nan": math.nan, "inf": math.inf, "less": -math.inf, "tenth": 0.1})
    metrics = Ledger(tmp_path).history()["t1"][0].metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["inf"], metrics["less"], metrics["tenth"]) == (math.inf, -math.inf, 0.1)


def test_torn_last_line_is_dropped_counted_and_cut_off(tmp_path):
    with Ledger(tmp_path).open() as ledger:
        ledger.record("started", trial="t1", attempt=1)
    path = tmp_path / records.DECISIONS
    path.write_bytes(path.read_bytes() + b'{"v":1,"kind":"do')
    assert records.read_decisions(tmp_path).torn == 1
    with Ledger(tmp_path).open() as ledger:
        ledger.record("started", trial="t1", attempt=2)
    lines = records.read_decisions(tmp_path)
    assert [(r["kind"], r["attempt"]) for r in lines.records] == [("started", 1), ("started", 2)]
    assert lines.torn == 0


@pytest.mark.parametrize("damage", [b"{]\n", b"[1]\n", b'"text"\n', b"\xff\xfe\n", b"{}\n"])
def test_any_other_damage_names_file_and_line(tmp_path, damage):
    with Ledger(tmp_path).open() as ledger:
        ledger.record("started", trial="t1", attempt=1)
    path = tmp_path / records.DECISIONS
    path.write_bytes(path.read_bytes() + damage)
    with pytest.raises(records.LedgerError, match=r"decisions.jsonl:2: damaged record"):
        records.read_decisions(tmp_path)


def test_records_of_a_newer_version_are_refused(tmp_path):
    path = tmp_path / records.DECISIONS
    path.parent.mkdir()
    path.write_text(json.dumps({"v": records.VERSION + 1, "kind": "done"}) + "\n")
    with pytest.raises(records.LedgerError, match="newer version"):
        records.read_decisions(tmp_path)


def test_of_a_step_that_two_attempts_reported_the_last_counts(tmp_path):
    for attempt, steps in ((1, (1, 2, 3)), (2, (3, 4))):
        sink = LedgerSink(tmp_path, order(attempt=attempt))
        for step in steps:
            sink.report(step, {"loss": 10.0 * attempt + step})
    assert Ledger(tmp_path).history()["t1"] == [
        Report(step, {"loss": value}) for step, value in ((1, 11.0), (2, 12.0), (3, 23.0), (4, 24.0))
    ]


def test_compacted_history_is_the_same_with_all_its_metrics(tmp_path):
    for trial in ("t1", "t2"):
        sink = LedgerSink(tmp_path, order(trial))
        for step in (1, 2, 3):
            sink.report(step, {"loss": 1 / step, "accuracy": 0.1 * step, "speed": 1e3})
    written = Ledger(tmp_path).history()
    compact(tmp_path)
    assert not list(tmp_path.glob(records.SEGMENTS))
    assert Ledger(tmp_path).history() == written
    assert Ledger(tmp_path).history("t2") == {"t2": written["t2"]}


def test_study_of_another_signature_may_record_its_points_again(tmp_path):
    with Ledger(tmp_path).open() as ledger:
        ledger.record_cell("c", {"a": "1"}, "first")
        ledger.record("asked", cell="c", number=0, point="p", params={})
    with Ledger(tmp_path).open() as ledger:
        ledger.record_cell("c", {"a": "1"}, "first")
        ledger.record("asked", cell="c", number=0, point="p", params={})
    assert [r["kind"] for r in records.read_decisions(tmp_path).records] == ["cell", "asked"]
    with Ledger(tmp_path).open() as ledger:
        ledger.record_cell("c", {"a": "1"}, "second")
        ledger.record("asked", cell="c", number=0, point="q", params={})
    assert [r["kind"] for r in records.read_decisions(tmp_path).records] == ["cell", "asked", "cell", "asked"]

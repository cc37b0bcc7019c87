import json
import math
from operator import itemgetter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Folder, lock, noisy, sweep

from analysis import sections
from analysis.frames import compact, compacted_records, last_attempts, load
from analysis.records import COMPACTED, DECISIONS, SEGMENTS, LedgerError, encode, read_segments


def curve(run, metric="m"):
    rows = run.reports[run.reports["metric"] == metric]
    return dict(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path, lock({}))
    made.decide("cell", cell="c", levels={})
    made.plan("t")
    return made


def write(folder, attempt, steps, ending=None):
    folder.decide("started", trial="t", attempt=attempt)
    for step in steps:
        folder.report("t", step, {"m": 100 * attempt + step}, attempt, segment=str(attempt))
    if ending:
        folder.decide(ending, trial="t", attempt=attempt, seconds=1.0, error="")


def test_a_resumed_attempt_replaces_only_from_its_first_step(folder):
    write(folder, 1, range(1, 8), "lost")
    write(folder, 2, range(5, 11), "done")
    values = curve(load(folder.path))
    assert list(values) == list(range(1, 11))
    assert [values[s] for s in (4, 5, 10)] == [104, 205, 210]


def test_what_the_last_attempt_has_not_reached_stays(folder):
    write(folder, 1, range(1, 11), "lost")
    write(folder, 2, range(4, 7))
    values = curve(load(folder.path))
    assert list(values) == list(range(1, 11))
    assert [values[s] for s in (3, 4, 6, 7)] == [103, 204, 206, 107]


def test_an_attempt_that_came_to_its_end_ends_the_trial(folder):
    write(folder, 1, range(1, 11), "lost")
    write(folder, 2, range(4, 7), "pruned")
    assert list(curve(load(folder.path))) == [1, 2, 3, 4, 5, 6]


def test_a_last_attempt_without_reports_changes_nothing(folder):
    write(folder, 1, range(1, 4), "lost")
    write(folder, 2, [], "done")
    assert curve(load(folder.path)) == {1: 101, 2: 102, 3: 103}


def test_steps_inside_the_span_of_a_later_attempt_are_gone(folder):
    write(folder, 1, [1, 2, 3, 4, 5], "lost")
    write(folder, 2, [2, 5])
    assert curve(load(folder.path)) == {1: 101, 2: 202, 5: 205}


lives = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6)


@given(lives)
def test_a_trial_with_any_interruptions_has_no_gap_and_no_double(plan):
    """Each life starts after a checkpoint that an earlier one reached, and is cut off; the last one reaches step 12."""
    rows, reached, writer = [], 0, {}
    plan = [*plan, (12, 12)]
    for attempt, (start, length) in enumerate(plan, start=1):
        first = min(start, reached)
        last = 12 if attempt == len(plan) else min(12, first + length)
        for step in range(first + 1, last + 1):
            rows.append(("t", attempt, step))
            writer[step] = attempt
        reached = max(reached, last)
    frame = pd.DataFrame(rows, columns=["trial", "attempt", "step"]).astype({"trial": "category"})
    ends = pd.DataFrame({"trial": ["t"], "attempt": [len(plan)]})
    kept = frame[last_attempts(frame, ends)].sort_values("step")
    assert kept["step"].tolist() == list(range(1, 13))
    assert kept["attempt"].tolist() == [writer[step] for step in range(1, 13)]


ledger = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=40)


@given(ledger, st.sets(st.tuples(st.sampled_from("ab"), st.integers(1, 4))))
def test_the_rule_equals_its_definition(rows, ended):
    def covers(trial, later, step):
        steps = [s for t, a, s in rows if (t, a) == (trial, later)]
        return bool(steps) and min(steps) <= step <= (math.inf if (trial, later) in ended else max(steps))

    frame = pd.DataFrame(rows, columns=["trial", "attempt", "step"]).astype({"trial": "category"})
    ends = pd.DataFrame(sorted(ended), columns=["trial", "attempt"])
    expected = [not any(covers(t, later, s) for later in range(a + 1, 5)) for t, a, s in rows]
    assert last_attempts(frame, ends).tolist() == expected


def test_outcomes_follow_the_last_event(tmp_path):
    folder = Folder(tmp_path, lock({}))
    folder.decide("cell", cell="c", levels={})
    for trial in ("planned", "running", "retried", "lost", "done"):
        folder.plan(trial)
    folder.decide("started", trial="running", attempt=1)
    folder.run("lost", [], "lost", error="killed")
    folder.run("retried", [], "lost")
    folder.decide("started", trial="retried", attempt=2)
    folder.run("done", [{"m": 1.0}], "cancelled")
    folder.run("done", [{"m": 1.0}], "done", attempt=2)
    folder.plan("done")  # planned again by a later life of the driver: still done
    trials = load(tmp_path).trials.set_index("trial")
    assert trials["outcome"].to_dict() == {
        "planned": "planned",
        "running": "running",
        "retried": "running",
        "lost": "lost",
        "done": "done",
    }
    assert trials["attempts"].to_dict() == {"planned": 0, "running": 1, "retried": 2, "lost": 1, "done": 2}
    assert trials.loc["done", "seconds"] == 4.0
    assert trials.loc["lost", "error"] == "killed"


def test_trials_carry_levels_and_params(tmp_path):
    sweep(tmp_path, lock({"model.name": ["mlp", "cnn"]}), noisy(lambda _: 0.9), points=2, seeds=1)
    run = load(tmp_path)
    trial = run.trials.set_index("trial").loc["c1-s1000"]
    assert trial["model.name"] == "cnn"
    assert trial["params"] == run.winners.set_index("cell").loc["c1", "params"]
    assert set(trial["params"]) == {"optimizer.lr", "label_smoothing", "optimizer.name"}


def test_cells_that_an_edited_sweep_left_behind_are_not_shown(tmp_path):
    folder = sweep(tmp_path, lock({"model.name": ["mlp", "cnn"]}), noisy(lambda _: 0.9), points=2, seeds=1)
    folder.decide("run", event="finished", seconds=1.0, cells=["c1"])
    run = load(tmp_path)
    assert run.cells.index.tolist() == ["c1"]
    assert set(run.trials["cell"]) == {"c1"}


def test_points_of_an_earlier_search_keep_their_params(tmp_path):
    folder = Folder(tmp_path, lock({}))
    folder.decide("cell", cell="c", levels={})
    for point, lr in (("old", 0.1), ("new", 0.2)):  # another sampler: its study counts from 0 again
        folder.decide("asked", cell="c", number=0, point=point, params={"lr": lr})
        folder.plan(point, point=point)
    run = load(tmp_path)
    assert run.trials["params"].tolist() == [{"lr": 0.1}, {"lr": 0.2}]
    assert run.points["point"].tolist() == ["new"]


def test_a_factor_may_be_called_like_a_column(tmp_path):
    sweep(tmp_path, lock({"seed": ["a", "b"], "cell": ["x"]}), noisy(lambda _: 0.9), points=1, seeds=1)
    trials = load(tmp_path).trials
    assert trials["seed"].tolist() == [0, 1000, 0, 1000]
    assert trials["seed (factor)"].tolist() == ["a", "a", "b", "b"]


def test_torn_lines_are_counted_and_the_rest_is_read(folder):
    write(folder, 1, [1, 2])
    for path in (folder.path / DECISIONS, folder.path / "ledger/reports-1.jsonl"):
        with path.open("a") as file:
            file.write('{"v":1,"kind":"rep')
    run = load(folder.path)
    assert run.torn == 2
    assert curve(run) == {1: 101, 2: 102}
    compact(folder.path)
    assert load(folder.path).torn == 2  # a fact about the run, which outlives the segments


def test_numbers_that_json_cannot_hold(folder):
    folder.report("t", 1, {"m": math.nan, "up": math.inf, "down": -math.inf})
    values = load(folder.path).reports.set_index("metric")["value"]
    assert math.isnan(values["m"])
    assert (values["up"], values["down"]) == (math.inf, -math.inf)


def test_an_empty_run_has_empty_frames(tmp_path):
    Folder(tmp_path, lock({}))
    run = load(tmp_path)
    assert [len(f) for f in (run.trials, run.reports, run.cells, run.points, run.winners, run.notes)] == [0] * 6
    assert run.lock["sweep"] == "quickstart"


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="not a run folder"):
        load(tmp_path)


def same(a, b):
    for name in ("trials", "reports", "cells", "points", "winners", "notes", "events"):
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name))
    assert a.torn == b.torn


@pytest.fixture
def resumed(folder):
    write(folder, 1, range(1, 6), "lost")
    folder.note("t", "digest", {"train": "abc", "nan": math.nan}, attempt=1)
    folder.note("t", "digest", {"train": "def"}, attempt=2)
    write(folder, 2, range(3, 9), "done")
    return folder


def test_compaction_changes_nothing(resumed):
    before = load(resumed.path)
    compact(resumed.path)
    assert not list(resumed.path.glob(SEGMENTS))
    same(before, load(resumed.path))
    compact(resumed.path)
    same(before, load(resumed.path))


def test_compacted_reports_can_be_read_as_records(resumed):
    resumed.report("u", 1, {"a": math.inf, "b": 2.0})
    written = [r for lines in read_segments(resumed.path) for r in lines.records if r["kind"] == "report"]
    for record in written:
        record["metrics"] = {name: float(value) for name, value in record["metrics"].items()}
    compact(resumed.path)
    assert sorted(compacted_records(resumed.path), key=itemgetter("time")) == sorted(written, key=itemgetter("time"))


def test_notes_survive_compaction(resumed):
    compact(resumed.path)
    notes = load(resumed.path).notes
    assert notes.to_dict("records") == [{"trial": "t", "key": "digest", "value": {"train": "def"}}]


def test_compaction_killed_between_writing_and_removing(resumed):
    before = load(resumed.path)
    segments = {path: path.read_bytes() for path in resumed.path.glob(SEGMENTS)}
    compact(resumed.path)
    for path, data in segments.items():
        path.write_bytes(data)
    same(before, load(resumed.path))
    compact(resumed.path)
    same(before, load(resumed.path))
    assert not list(resumed.path.glob(SEGMENTS))


def test_reports_after_a_compaction_are_added(resumed):
    compact(resumed.path)
    write(resumed, 3, range(8, 11), "done")
    assert list(curve(load(resumed.path))) == list(range(1, 11))
    before = load(resumed.path)
    compact(resumed.path)
    same(before, load(resumed.path))


def test_a_segment_that_still_grows_is_not_removed(resumed, monkeypatch):
    import pyarrow.parquet as pq

    write_table = pq.write_table

    def slowly(*args, **kwargs):
        write_table(*args, **kwargs)
        resumed.report("t", 9, {"m": 209.0}, attempt=2, segment="2")

    monkeypatch.setattr(pq, "write_table", slowly)
    compact(resumed.path)
    assert [path.name for path in resumed.path.glob(SEGMENTS)] == ["reports-2.jsonl"]
    assert list(curve(load(resumed.path))) == list(range(1, 10))


def test_damage_names_the_file(resumed):
    compact(resumed.path)
    (resumed.path / COMPACTED).write_bytes(b"PAR1 no more")
    with pytest.raises(LedgerError, match=r"reports\.parquet: damaged"):
        load(resumed.path)


def test_a_newer_schema_is_refused(resumed):
    import pyarrow.parquet as pq

    compact(resumed.path)
    table = pq.read_table(resumed.path / COMPACTED)
    newer = {**table.schema.metadata, b"assay.version": b"99"}
    pq.write_table(table.replace_schema_metadata(newer), resumed.path / COMPACTED)
    with pytest.raises(LedgerError, match="newer version"):
        load(resumed.path)


def test_reading_does_not_depend_on_which_process_wrote_first(tmp_path):
    for name, order in (("a", "xy"), ("b", "yx")):
        folder = Folder(tmp_path / name, lock({}))
        folder.decide("cell", cell="c", levels={})
        for trial in "xy":
            folder.plan(trial)
        for segment, trial in enumerate(order):
            folder.report(trial, 1, {"m": ord(trial)}, segment=str(segment))
    pd.testing.assert_frame_equal(load(tmp_path / "a").reports, load(tmp_path / "b").reports)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ten_thousand_trials_load_in_seconds(tmp_path):
    import time

    (tmp_path / "ledger").mkdir()
    decisions, reports = [encode({"kind": "cell", "cell": "c", "levels": {}})], []
    for n in range(10_000):
        plan = {"trial": f"t{n}", "cell": "c", "phase": "tune", "point": f"p{n}", "seed": 0, "config": {"lr": n}}
        decisions.append(encode({"kind": "planned", **plan}))
        decisions.append(encode({"kind": "done", "trial": f"t{n}", "attempt": 1, "seconds": 1, "error": ""}))
        metrics = {f"m{i}": n / 7 for i in range(5)}
        reports += [json.dumps({"kind": "report", "trial": f"t{n}", "attempt": 1, "step": s, "metrics": metrics}) + "\n"
                    for s in range(10)]  # fmt: skip
    (tmp_path / DECISIONS).write_text("".join(decisions))
    (tmp_path / "ledger/reports-0.jsonl").write_text("".join(reports))
    start = time.perf_counter()
    assert len(load(tmp_path).reports) == 500_000
    assert time.perf_counter() - start < 20


def test_causes_are_known_by_attempt_and_said_with_the_cost(tmp_path):
    folder = Folder(tmp_path, lock({}))
    folder.decide("cell", cell="c", levels={})
    folder.plan("t")
    causes = [
        ("lost", "node lost"),
        ("lost", "out of memory"),
        ("lost", "node lost"),
        ("failed", "error"),
        ("done", ""),
    ]
    for attempt, (kind, cause) in enumerate(causes, start=1):
        folder.decide("started", trial="t", attempt=attempt)
        known = {"cause": cause} if cause else {}
        folder.decide(kind, trial="t", attempt=attempt, seconds=1.0, error="", **known)
    run = load(tmp_path)
    assert run.attempts["cause"].tolist() == [cause for _, cause in causes]
    said = "3 attempts lost and made again (2 node lost, 1 out of memory); 1 attempt failed (1 error)"
    assert sections.losses(run) == said
    assert sections.cost(run).endswith(said)

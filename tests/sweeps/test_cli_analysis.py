"""The commands that read runs: compare, export, watch, tensorboard."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import time
import urllib.request

import pandas as pd
import pytest
from prompt import User
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2

from analysis import records
from analysis.frames import load
from sweeps import space, tensorboard_cells, watch
from sweeps.spec import Sweep
from sweeps.tensorboard_server import BoardError, free_port


def words(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A user with two runs: as it was, and after a change that makes a = 2 worse. The tests that take it only look."""
    user = User(tmp_path_factory.mktemp("ran"))
    user.bowl(claims="[{name: one, metric: loss, where: {a: 1}, against: {a: 2}, expect: less}]")
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", "runs", "--set", "seeds.confirm=4").code == 0
    before = user.run
    user.write("bowl.py", (user.folder / "bowl.py").read_text().replace("0.001 *", "(config['a'] == 2) + 0.001 *"))
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", "runs", "--set", "seeds.confirm=4").code == 0
    after = next(run for run in user.runs if run != before)
    return user, str(before), str(after)


# --- compare ---------------------------------------------------------------------------------------------------------


def test_compare_shows_both_runs_and_says_what_changed(ran):
    user, before, after = ran
    said = user.assay("compare", before, after, "--margin", "0.1")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"1 .* 4, 4 +same", said.out, re.MULTILINE)
    assert re.search(r"2 .* 4, 4 +worse", said.out, re.MULTILINE)
    assert "Of 2 comparisons: 1 same, 1 worse." in said.out


def test_compare_check_is_for_machines(ran):
    user, before, after = ran
    assert user.assay("compare", before, after, "--margin", "0.1", "--check").code == 1
    assert user.assay("compare", before, after, "--margin", "2", "--check").code == 0
    assert user.assay("compare", after, before, "--margin", "0.1", "--check").code == 0  # it became better


@pytest.mark.parametrize("suffix", [".md", ".html", ".csv"])
def test_compare_writes_a_file(ran, tmp_path, suffix):
    user, *_ = ran
    said = user.assay("compare", "runs/bowl/*", "--to", str(tmp_path / f"c{suffix}"))
    assert said.code == 0
    assert "worse" in (tmp_path / f"c{suffix}").read_text()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["bowl"], "a comparison needs two runs, got bowl/"),
        (["bowl", "bowll"], "bowll: no such run; did you mean bowl?"),
        (["runs/bowl/*", "--to", "x.txt"], "--to: got x.txt, expected a name that ends in .md, .html, .csv"),
        (["runs/bowl/*", "--metric", "los"], "los: no run has reported this metric; they have loss"),
        (["runs/none/*"], "runs/none/*: no run folder matches"),
        (["nope://x", "bowl"], "nope://x: Protocol not known: nope"),
    ],
)
def test_compare_says_what_is_wrong_in_one_line(ran, options, line):
    said = ran[0].assay("compare", *options)
    assert (said.code, len(said.lines)) == (2, 1)
    assert line in said.err


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_of_several_runs(ran, tmp_path):
    user, *_ = ran
    said = user.assay("export", "runs/bowl/*", "--to", str(tmp_path))
    assert said.code == 0
    assert set(said.out.split()) == {str(path) for path in tmp_path.iterdir()}
    trials = pd.read_parquet(tmp_path / "trials.parquet")
    assert len(trials) == 28
    assert trials["run"].nunique() == 2
    assert "lr" in trials


def test_export_of_one_format(ran, tmp_path):
    user, *_ = ran
    assert user.assay("export", "bowl", "--to", str(tmp_path), "--format", "csv").code == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}
    said = user.assay("export", "bowl", "--to", str(tmp_path), "--format", "xls")
    assert (said.code, said.lines) == (2, ["--format: got xls, expected parquet or csv"])


# --- watch -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(ran, tmp_path):
    """A copy of a run without its last decision, and that decision."""
    run = tmp_path / "run"
    shutil.copytree(ran[1], run)
    path = run / records.DECISIONS
    *lines, last = path.read_text().splitlines(keepends=True)
    assert json.loads(last)["event"] == "finished"
    path.write_text("".join(lines))
    return run, last


def test_watch_ends_with_the_run_and_refreshes_only_when_there_is_more(unfinished):
    run, last = unfinished
    slept, said, written = [], [], []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            with (run / records.DECISIONS).open("a") as file:
                file.write(last)

    watch.watch(run, lambda path: written.append(path) or path / "page", said.append, every=7.0, sleep=sleep)
    assert [seconds >= 7.0 for seconds in slept] == [True] * 3
    assert len(written) == 2
    assert [line.split("  ")[1:3] for line in said] == [
        ["broken off", "14 of 14 trials"],
        ["finished", "14 of 14 trials"],
    ]


def test_watch_of_a_finished_run_writes_it_once(ran):
    user, before, _ = ran
    said = user.assay("watch", before)
    assert said.code == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d  finished  14 of 14 trials  \S+/report/index.html\n", said.out)


def test_watch_ends_cleanly_at_ctrl_c(unfinished, user):
    run, _ = unfinished
    child = user.start("watch", str(run), "--every", "0.2")
    assert "broken off" in child.stdout.readline()
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
    assert out == "no longer watching; the run itself goes on\n"


# --- tensorboard -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def board(ran, tmp_path_factory):
    """The event files of a run with means, read back."""
    folder = tmp_path_factory.mktemp("board") / "tensorboard"
    run = load(ran[0].folder / ran[1])
    shutil.copytree(ran[0].folder / ran[1] / "tensorboard", folder)
    assert tensorboard_cells.Means(folder).write(run) == 2
    return run, folder, read(folder)


def read(folder):
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return multiplexer


def curve(board, run, tag):
    return {event.step: float(event.tensor_proto.float_val[0]) for event in board.Tensors(run, tag)}


def test_means_of_cells_are_runs_of_their_own(board):
    run, _, events = board
    assert {name for name in events.Runs() if name.startswith("_mean")} == {"_mean", "_mean/a=1", "_mean/a=2"}
    confirm = run.trials[(run.trials["phase"] == "confirm") & (run.trials["cell"] == "a=1")]
    rows = run.reports[run.reports["trial"].isin(confirm["trial"].tolist())]
    values = rows.groupby("step")["value"]
    mean, half = values.mean(), 3.182446 * values.std() / 2  # t of 3 degrees of freedom, over the root of 4 seeds
    for kind, expected in (("mean", mean), ("low", mean - half), ("high", mean + half)):
        assert curve(events, "_mean/a=1", f"{kind}/loss") == pytest.approx(expected.to_dict(), abs=1e-6)


def test_layout_shows_the_cells_of_a_metric_in_one_chart(board):
    (event,) = board[2].Tensors("_mean", "custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    (chart,) = layout.category[0].chart
    (band,) = chart.margin.series
    assert (chart.title, band.value, band.lower, band.upper) == ("loss", "mean/loss", "low/loss", "high/loss")


def test_means_that_have_changed_replace_what_was_shown(board, tmp_path):
    run, *_ = board
    means = tensorboard_cells.Means(tmp_path)
    fewer = run.trials["seed"] != 1003
    some = type(run)(**{**vars_of(run), "trials": run.trials[fewer]})
    for state in (some, some, run):
        means.write(state)
    assert len(list((tmp_path / "_mean/a=1").iterdir())) == 2  # what stays the same is not written again
    assert len(list((tmp_path / "_mean").glob("events*"))) == 1
    assert curve(read(tmp_path), "_mean/a=1", "mean/loss") == curve(board[2], "_mean/a=1", "mean/loss")
    again = tensorboard_cells.Means(tmp_path)
    assert not means.folder.exists()
    assert again.folder == means.folder


def vars_of(run):
    return {name: getattr(run, name) for name in run.__dataclass_fields__}


def test_a_step_that_not_all_seeds_have_reported_is_left_out(board):
    run, *_ = board
    trial = run.trials.loc[run.trials["seed"] == 1003, "trial"].iloc[0]
    cut = run.reports[(run.reports["trial"] != trial) | (run.reports["step"] < 3)]
    bands = tensorboard_cells.bands(type(run)(**{**vars_of(run), "reports": cut}))
    steps = bands.groupby("cell")["step"].max().to_dict()
    assert sorted(steps.values()) == [2, 3]


def test_no_cell_can_be_called_like_the_folder_of_the_means():
    names = ["_mean", "mean", "._mean", "/_mean", "..", "_mean/x", "\n_mean", "_mean~"]
    for factor in names:
        tree = {
            "sweep": "toy", "question": "?", "trainable": "toy.py:train", "objective": {"minimize": "loss"},
            "factors": {factor: [*names, "x" * 300]}, "search": {"points": 1},
        }  # fmt: skip
        ids = [cell.id for cell in space.cells(Sweep.model_validate(tree))]
        assert len(set(ids)) == len(names) + 1
        assert all("=" in name and "/" not in name for name in ids)
        assert tensorboard_cells.MEANS not in ids
    assert space.cells(Sweep.model_validate({**tree, "factors": {}}))[0].id == "all"


def test_ports():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BoardError, match=f"port {port} is taken on this machine; --port 0 takes a free one"):
            free_port(port)
        assert free_port(0) not in (0, port)
    assert free_port(port) == port
    assert free_port(None) > 0


def test_tensorboard_says_in_one_line_that_the_port_is_taken(ran):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = ran[0].assay("tensorboard", "bowl", "--port", str(taken.getsockname()[1]))
    assert (said.code, len(said.lines)) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tensorboard_serves_the_cells_and_ends_with_its_child(ran, user, number):
    only = ["--cells"] if number == signal.SIGTERM else []
    child = user.start("tensorboard", str(ran[0].folder / ran[1]), "--port", "0", *only)
    try:
        lines = [child.stdout.readline() for _ in range(2 if only else 3)]
        address = re.search(r"http://127\.0\.0\.1:\d+/", lines[0])[0]
        runs = json.loads(urllib.request.urlopen(f"{address}data/runs", timeout=30).read())
        assert {"a=1", "a=2"} <= set(runs) if only else {"_mean/a=1", "_mean/a=2"} <= set(runs)
        assert only or sum(not name.startswith(("_mean", ".")) for name in runs) == 14
        layout = urllib.request.urlopen(f"{address}data/plugin/custom_scalars/layout", timeout=30).read()
        assert json.loads(layout)["category"][0]["chart"][0]["title"] == "loss"
    finally:
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0 if number == signal.SIGINT else 143, "")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["compare", "export", "watch", "tensorboard"])
def test_help_teaches(user, command):
    assert re.search(rf"{command} +[A-Z]\w+ .*", user.assay("--help").out)
    said = user.assay(command, "--help")
    assert said.code == 0
    assert len(words(said.out.partition("Arguments")[0]).split()) > 25
    for name, rest in re.findall(r"(--[a-z-]+)([^│]*)", said.out.partition("Options")[2]):
        assert len(rest.split()) >= 2, f"{command}: {name} is not explained"


@pytest.mark.parametrize("command", ["watch", "tensorboard", "export"])
def test_unknown_run_names_the_nearest(ran, command):
    more = ["--to", "x"] if command == "export" else []
    said = ran[0].assay(command, "bowll", *more)
    assert (said.code, said.lines) == (2, ["bowll: no such run; did you mean bowl?"])

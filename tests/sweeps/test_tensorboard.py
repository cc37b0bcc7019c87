"""The event files are read back with TensorBoard's own readers, and the HParams table with its own backend."""

import math
import struct
import subprocess
import sys
import zlib

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from sweeps import space, tensorboard
from sweeps.spec import Sweep
from sweeps.tensorboard import Board
from trainables.api import Outcome

SWEEP = {
    "sweep": "test",
    "question": "Which?",
    "trainable": "x.y",
    "factors": {
        "model.name": ["mlp", "cnn"],
        "augment": [{"label": "mixup 0.4", "name": "mixup", "alpha": 0.4}, {"label": "none", "name": "none"}],
        "width": [8, 16],
        "seeded": [True, False],
        "depth": [2, "auto"],
        "radius": [0.5, math.inf],
    },
    "nuisance": {
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        "weight_decay": {"low": 0.0, "high": 0.1, "when": {"model.name": "cnn"}},
        "momentum": {"choices": [0.0, 0.9]},
        "batch": {"choices": [32, "all"]},
    },
    "objective": {"maximize": "accuracy/validation"},
    "constraints": {"parameters": {"at_most": 1000}, "lr": {"at_least": 0.01}},
    "claims": [
        {"name": "c", "metric": "accuracy/test", "where": {"width": 8}, "against": {"width": 16}, "expect": "greater"}
    ],
}
ALL = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return Sweep.model_validate(SWEEP)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def read(folder) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def scalars(folder, tag) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


class HParams:
    """What the HParams tab is served."""

    def __init__(self, folder) -> None:
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        provider = MultiplexerDataProvider(multiplexer, str(folder))
        self.context = backend_context.Context(TBContext(data_provider=provider))

    def columns(self) -> dict:
        request = api_pb2.GetExperimentRequest(include_metrics=True)
        experiment = get_experiment.Handler(RequestContext(), self.context, "e", request).run()
        self.metrics = [metric.name.tag for metric in experiment.metric_infos]
        return {info.name: info for info in experiment.hparam_infos}

    def groups(self, statuses=ALL) -> list:
        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=100, allowed_statuses=statuses, aggregation_type=api_pb2.AGGREGATION_AVG
        )
        return list(list_session_groups.Handler(RequestContext(), self.context, "e", request).run().session_groups)


def values(group) -> dict:
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}


def test_a_trial_is_read_back(tmp_path):
    board = Board(tmp_path, group="g", hparams={})
    board.report(1, {"loss/train": 0.5, "accuracy": 0.1})
    board.report(3, {"loss/train": 0.25, "accuracy": math.nan})
    board.image("confusion", 3, png(7, 5))
    board.note("digest", "abc")
    board.close(Outcome.DONE)

    events = read(tmp_path)
    assert sorted(events.Tags()["scalars"]) == ["accuracy", "loss/train"]
    assert scalars(tmp_path, "loss/train") == [(1, 0.5), (3, 0.25)]
    assert math.isnan(scalars(tmp_path, "accuracy")[1][1])
    (image,) = events.Images("confusion")
    assert (image.step, image.width, image.height) == (3, 7, 5)
    assert image.encoded_image_string == png(7, 5)


def test_every_report_is_on_disk_at_once(tmp_path):
    board = Board(tmp_path, group="g", hparams={})
    for step in range(1, 4):
        board.report(step, {"loss": step})
        assert scalars(tmp_path, "loss")[-1] == (step, step)
    board.close(Outcome.CANCELLED)


def test_a_torn_file_costs_only_its_last_record(tmp_path):
    board = Board(tmp_path, group="g", hparams={})
    for step in (1, 2):
        board.report(step, {"loss": step})
    board.close(Outcome.LOST)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert scalars(tmp_path, "loss") == [(1, 1.0)]


def test_a_resumed_attempt_replaces_what_came_after_its_checkpoint(tmp_path):
    first = Board(tmp_path, group="g", hparams={})
    for step in range(1, 6):
        first.report(step, {"loss": 1.0, "only/first": 1.0})
    first.image("picture", 5, png(2, 2))
    first.close(Outcome.LOST)
    second = Board(tmp_path, group="g", hparams={}, attempt=2)
    for step in (4, 5):
        second.report(step, {"loss": 2.0})
    second.close(Outcome.DONE)

    assert scalars(tmp_path, "loss") == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0)]
    assert [step for step, _ in scalars(tmp_path, "only/first")] == [1, 2, 3]
    assert read(tmp_path).Images("picture") == []


def test_files_of_attempts_are_read_in_their_order(tmp_path):
    for attempt in (10, 9, 2, 1):
        board = Board(tmp_path, group="g", hparams={}, attempt=attempt)
        board.report(1, {"loss": attempt})
        board.close(Outcome.LOST)
    assert len(list(tmp_path.iterdir())) == 4
    assert scalars(tmp_path, "loss")[-1] == (1, 10.0)


def test_columns_are_the_union_with_types_and_domains(tmp_path, sweep):
    tensorboard.write_experiment(tmp_path, tensorboard.parameters(sweep), tensorboard.metrics(sweep))
    table = HParams(tmp_path)
    columns = table.columns()

    assert set(columns) == {*sweep.factors, *sweep.nuisance, "phase"}
    assert table.metrics == ["accuracy/validation", "parameters", "accuracy/test"]
    number, text, boolean = api_pb2.DATA_TYPE_FLOAT64, api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_BOOL
    listed = {
        "model.name": (text, ["mlp", "cnn"]),
        "augment": (text, ["mixup 0.4", "none"]),
        "width": (number, [8, 16]),
        "seeded": (boolean, [True, False]),
        "depth": (text, ["2", "auto"]),
        "radius": (text, ["0.5", "inf"]),
        "momentum": (number, [0.0, 0.9]),
        "batch": (text, ["32", "all"]),
        "phase": (text, ["tune", "confirm"]),
    }
    for name, (kind, expected) in listed.items():
        assert (columns[name].type, list(columns[name].domain_discrete)) == (kind, expected)
    interval = columns["lr"].domain_interval
    assert (columns["lr"].type, interval.min_value, interval.max_value) == (number, 1e-3, 1.0)
    assert list(columns)[-1] == "weight_decay", "a conditional parameter comes last"


def test_a_factor_of_many_numbers_is_an_interval(tmp_path):
    tensorboard.write_experiment(tmp_path, {"width": list(range(1, 101)), "depth": [3]}, ["loss"])
    columns = HParams(tmp_path).columns()
    interval = columns["width"].domain_interval
    assert (interval.min_value, interval.max_value) == (1, 100)
    assert list(columns["depth"].domain_discrete) == [3]


def test_a_resumed_run_may_change_the_columns(tmp_path):
    for names in (["a"], ["a", "b"]):
        tensorboard.write_experiment(tmp_path, {name: [1, 2] for name in names}, ["loss"])
    assert set(HParams(tmp_path).columns()) == {"a", "b"}
    assert len(list(tmp_path.iterdir())) == 1


def test_values_have_the_types_of_their_columns(sweep):
    cells = {tuple(cell.levels.values()): cell for cell in space.cells(sweep)}
    cell = cells["cnn", "mixup 0.4", "8", "false", "2", "inf"]
    point = {"lr": 0.1, "weight_decay": 0.01, "momentum": 0.9, "batch": 32}
    assert tensorboard.hparams(sweep, cell, point, "tune") == {
        "model.name": "cnn",
        "augment": "mixup 0.4",
        "width": 8,
        "seeded": False,
        "depth": "2",
        "radius": "inf",
        "phase": "tune",
        "lr": 0.1,
        "weight_decay": 0.01,
        "momentum": 0.9,
        "batch": "32",
    }


@pytest.fixture
def conditional(tmp_path):
    """Two cells, one of which has no weight decay, with a point each, on three seeds."""
    sweep = Sweep.model_validate(
        {
            **SWEEP,
            "factors": {"model.name": ["mlp", "cnn"]},
            "nuisance": SWEEP["nuisance"] | {"batch": {"choices": [1]}},
        }
    )
    tensorboard.write_experiment(tmp_path, tensorboard.parameters(sweep), tensorboard.metrics(sweep))
    for cell in space.cells(sweep):
        has = cell.levels["model.name"] == "cnn"
        point = {"lr": 0.1, "momentum": 0.9, "batch": 1} | ({"weight_decay": 0.01} if has else {})
        for seed in range(3):
            folder = tmp_path / cell.id / f"trial{seed}"
            hparams = tensorboard.hparams(sweep, cell, point, "tune")
            board = Board(folder, group=f"{cell.id}:{space.point_id(point)}", hparams=hparams)
            board.report(1, {"accuracy/validation": 0.0})
            board.report(2, {"accuracy/validation": 0.5 * has + seed / 8})
            board.close(Outcome.DONE if seed else Outcome.FAILED)
    return tmp_path


def test_seeds_are_averaged_by_point_and_a_missing_value_is_just_missing(conditional):
    groups = {values(group)["model.name"]: group for group in HParams(conditional).groups()}
    assert {name: len(group.sessions) for name, group in groups.items()} == {"mlp": 3, "cnn": 3}
    assert values(groups["cnn"])["weight_decay"] == 0.01
    assert "weight_decay" not in values(groups["mlp"])
    for name, mean in {"mlp": 0.125, "cnn": 0.625}.items():
        found = {metric.name.tag: metric.value for metric in groups[name].metric_values}
        assert found == {"accuracy/validation": pytest.approx(mean)}


def test_failed_trials_can_be_filtered_out(conditional):
    groups = HParams(conditional).groups([api_pb2.STATUS_SUCCESS])
    assert [len(group.sessions) for group in groups] == [2, 2]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([Outcome.DONE], api_pb2.STATUS_SUCCESS),
        ([Outcome.PRUNED], api_pb2.STATUS_UNKNOWN),
        ([Outcome.DIVERGED], api_pb2.STATUS_FAILURE),
        ([Outcome.FAILED], api_pb2.STATUS_FAILURE),
        ([Outcome.CANCELLED], api_pb2.STATUS_UNKNOWN),
        ([Outcome.CANCELLED, Outcome.LOST, Outcome.DONE], api_pb2.STATUS_SUCCESS),
    ],
)
def test_status_is_that_of_the_last_attempt(tmp_path, outcomes, status):
    tensorboard.write_experiment(tmp_path, {"lr": [0.1]}, ["loss"])
    for attempt, outcome in enumerate(outcomes, start=1):
        board = Board(tmp_path / "cell" / "trial", group="g", hparams={"lr": 0.1}, attempt=attempt)
        board.report(attempt, {"loss": 1.0})
        board.close(outcome)
    (group,) = HParams(tmp_path).groups()
    assert [session.status for session in group.sessions] == [status]


def test_importing_it_does_not_import_tensorboard():
    code = "import sys, sweeps.tensorboard; sys.exit('tensorboard' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

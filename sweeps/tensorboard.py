"""TensorBoard files: a run per trial under ``<cell>/<trial>``, and one HParams summary for all of them.

Written record by record, without threads and without TensorFlow, so that a kill loses nothing and a sweep of thousands
of trials stays cheap.
"""

from __future__ import annotations

import importlib
import math
import os
import socket
import struct
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sweeps import space
from sweeps.space import Cell, Point
from sweeps.spec import Choice, Range, Scalar, Sweep
from trainables.api import Metrics, Outcome

EXPERIMENT_FILE = "events.out.tfevents.0.experiment"
MAX_BOXES = 20  # to tick; a factor of more numbers than that is shown as a range

Values = Sequence[Scalar] | Choice | Range
"""What a hyperparameter may be."""


# --- hyperparameters -------------------------------------------------------------------------------------------------


def parameters(sweep: Sweep) -> dict[str, Values]:
    """Every hyperparameter that a trial of the sweep may have, conditional ones too."""
    factors = {name: [_shown(level) for level in space.levels(factor)] for name, factor in sweep.factors.items()}
    return {**factors, "phase": ["tune", "confirm"], **sweep.nuisance}


def hparams(sweep: Sweep, cell: Cell, point: Point, phase: str) -> dict[str, Scalar]:
    """The values of one trial, each of the type of its column. What does not exist in this trial is left out."""
    levels = {name: cell.levels[name] if isinstance(v, Mapping) else _shown(v) for name, v in cell.values.items()}
    as_text = {name for name, values in parameters(sweep).items() if _kind(values) is str}
    return {n: space.label(v) if n in as_text else v for n, v in {**levels, "phase": phase, **point}.items()}


def metrics(sweep: Sweep) -> list[str]:
    """The metrics worth a column: those of objectives, constraints and claims."""
    bounded = [name for name in sweep.constraints if name not in sweep.nuisance]
    claimed = [metric for claim in sweep.claims for metric in claim.all_metrics]
    return list(dict.fromkeys([*(objective.metric for objective in sweep.objectives), *bounded, *claimed]))


def _shown(level: Any) -> Scalar:
    return level if isinstance(level, bool) or _is_number(level) else space.label(level)


def _is_number(value: Any) -> bool:
    """Whether TensorBoard can show the value as a number. Infinity goes as text: its JSON has none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(values: Values) -> type:
    """The one type of a column: ``bool``, ``float``, or ``str`` for text and for mixtures."""
    listed = [] if isinstance(values, Range) else values.choices if isinstance(values, Choice) else values
    if all(map(_is_number, listed)):
        return float
    return bool if all(isinstance(value, bool) for value in listed) else str


# --- files -----------------------------------------------------------------------------------------------------------


def write_experiment(folder: Path, parameters: Mapping[str, Values], metrics: Sequence[str]) -> None:
    """Say which columns the HParams table has. Replaces what an earlier life of the run said."""
    pb = messages()
    experiment = pb.Experiment(
        time_created_secs=time.time(),
        hparam_infos=[_hparam_info(name, values) for name, values in parameters.items()],
        metric_infos=[pb.MetricInfo(name=pb.MetricName(tag=metric)) for metric in metrics],
    )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{uuid.uuid4().hex}"
    records = EventFile(unfinished)
    records.write_hparams("experiment", experiment)
    records.close()
    unfinished.replace(folder / EXPERIMENT_FILE)


def _hparam_info(name: str, values: Values) -> Any:
    pb, kind = messages(), _kind(values)
    number = {bool: pb.DATA_TYPE_BOOL, float: pb.DATA_TYPE_FLOAT64, str: pb.DATA_TYPE_STRING}[kind]
    # What differs comes first, and only the first columns are shown unasked. TensorBoard's parallel coordinates leave
    # out every trial that lacks one of the columns shown, so a conditional parameter had better not be among them.
    info = pb.HParamInfo(name=name, type=number, differs=not (isinstance(values, Range | Choice) and values.when))
    if isinstance(values, Range):
        info.domain_interval.CopyFrom(_interval(values.low, values.high))
        return info
    listed = list(dict.fromkeys(values.choices if isinstance(values, Choice) else values))
    if kind is float and len(listed) > MAX_BOXES:
        info.domain_interval.CopyFrom(_interval(min(listed), max(listed)))
    else:
        info.domain_discrete.extend(map(space.label, listed) if kind is str else listed)
    return info


def _interval(low: Any, high: Any) -> Any:
    return messages().Interval(min_value=low, max_value=high)


class Board:
    """The TensorBoard run of one trial, as a sink of one of its attempts.

    Args:
        folder: of the trial; each attempt adds a file to it.
        group: the HParams table averages the trials of one group; they differ in nothing but their seed.
        hparams: what ``hparams`` says of the trial.
    """

    def __init__(self, folder: Path, *, group: str, hparams: Mapping[str, Scalar], attempt: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a run in the order of their names, and the clocks of hosts differ.
        name = f"events.out.tfevents.{attempt:06d}.{socket.gethostname()[:40]}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        self._records = EventFile(folder / name)
        self._resumes = attempt > 1
        self._records.write_hparams("session_start_info", _session_start(group, hparams))

    def report(self, step: int, metrics: Metrics) -> None:
        value = messages().Summary.Value
        self._write(step, [value(tag=tag, simple_value=number) for tag, number in metrics.items()])

    def image(self, tag: str, step: int, png: bytes) -> None:
        pb = messages()
        width, height = struct.unpack(">II", png[16:24])  # every PNG begins with its size
        image = pb.Summary.Image(encoded_image_string=png, width=width, height=height, colorspace=3)
        self._write(step, [pb.Summary.Value(tag=tag, image=image)])

    def note(self, key: str, value: Any) -> None:
        """Facts about a trial are for the ledger."""

    def sync(self) -> None:
        """What is shown here is no truth that anything depends on."""

    def close(self, outcome: Outcome) -> None:
        """Record how the trial ended, unless it can go on: TensorBoard keeps the first end that it reads."""
        pb = messages()
        statuses = {
            Outcome.DONE: pb.STATUS_SUCCESS,
            Outcome.PRUNED: pb.STATUS_UNKNOWN,  # neither a failure nor a full trial
            Outcome.DIVERGED: pb.STATUS_FAILURE,
            Outcome.FAILED: pb.STATUS_FAILURE,
        }
        if outcome in statuses:
            end = pb.SessionEndInfo(status=statuses[outcome], end_time_secs=time.time())
            self._records.write_hparams("session_end_info", end)
        self._records.close()

    def _write(self, step: int, values: Sequence[Any]) -> None:
        pb = messages()
        if self._resumes:  # TensorBoard then forgets what earlier attempts wrote at this step and beyond
            self._records.write(step, session_log=pb.SessionLog(status=pb.SessionLog.START))
            self._resumes = False
        self._records.write(step, summary=pb.Summary(value=values))


def _session_start(group: str, hparams: Mapping[str, Scalar]) -> Any:
    start = messages().SessionStartInfo(group_name=group, start_time_secs=time.time())
    for name, value in hparams.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    return start


class EventFile:
    """An event file, open for writing."""

    def __init__(self, path: Path) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._writer = RecordWriter(path.open("xb", buffering=0))
        self.write(0, file_version="brain.Event:2")

    def write(self, step: int, **what: Any) -> None:
        """Append an event and hand it to the operating system, which keeps it even if this process is killed."""
        event = messages().Event(wall_time=time.time(), step=step, **what)
        self._writer.write(event.SerializeToString())

    def write_hparams(self, name: str, message: Any) -> None:
        """Append what the HParams plugin reads under ``_hparams_/<name>``."""
        from tensorboard.plugins.hparams import metadata

        pb = messages()
        about = metadata.create_summary_metadata(pb.HParamsPluginData(**{name: message}))
        value = pb.Summary.Value(tag=f"_hparams_/{name}", metadata=about, tensor=metadata.NULL_TENSOR)
        self.write(0, summary=pb.Summary(value=[value]))

    def close(self) -> None:
        self._writer.close()


@cache
def messages() -> Any:
    """TensorBoard's message types by name. Their modules are generated, and type checkers cannot see into them."""
    modules = (
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.compat.proto.summary_pb2",
        "tensorboard.plugins.hparams.api_pb2",
        "tensorboard.plugins.hparams.plugin_data_pb2",
    )
    return SimpleNamespace(**{k: v for module in modules for k, v in vars(importlib.import_module(module)).items()})

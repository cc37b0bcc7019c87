"""What TensorBoard needs to show cells rather than hundreds of trials: their means, and a layout that overlays them.

The run ``_mean/<cell>`` has for each metric, over the finished confirm replicates of the cell:

* ``mean/<metric>``,
* ``low/<metric>`` and ``high/<metric>``, the 95 % interval of the mean (Student's t), from two replicates on.

No trial can be in the way: the folder of a trial is ``<cell>/<trial>``, and the name of a cell is ``all`` or has an
equals sign in it. Nor can a metric: its tags begin with a word of ours and a slash.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.frames import Run
from analysis.replicates import replicates, shown_metrics
from sweeps.space import safe_name
from sweeps.tensorboard import EventFile, messages

MEANS = "_mean"
KINDS = ("mean", "low", "high")


def bands(run: Run) -> pd.DataFrame:
    """Cell, metric, step, mean, low, high; at the steps that all finished replicates of the cell have reported.

    A step that only some have reported is left out: the mean would jump there, for no other reason than who is in it.
    """
    trials = replicates(run)[["trial", "cell"]]
    rows = run.reports.astype({"trial": object}).merge(trials, on="trial")
    groups = rows.groupby(["cell", "metric", "step"], observed=True)["value"]
    table = groups.agg(["mean", "std", "count"]).reset_index()
    sizes = Counter(trials["cell"])
    whole = table["count"].to_numpy() == [sizes[cell] for cell in table["cell"]]
    table = table.loc[whole & np.isfinite(table["mean"])]
    reach = [stats.quantile(stats.LEVEL, n - 1) for n in table["count"]] * table["std"] / np.sqrt(table["count"])
    return table.assign(low=table["mean"] - reach, high=table["mean"] + reach)


class Means:
    """The runs of the cells in a TensorBoard folder. ``write`` may be called again while TensorBoard looks on."""

    def __init__(self, board: Path) -> None:
        self.folder = board / MEANS
        self._written: dict[str, bytes] = {}  # run -> digest of what it holds
        self._files = 0
        shutil.rmtree(self.folder, ignore_errors=True)  # those of an earlier look

    def write(self, run: Run) -> int:
        """Write the layout and the cells that have changed, and return how many cells have something to show."""
        table = bands(run)
        reported = sorted(set(table["metric"].astype(str)))
        first = [metric for metric in shown_metrics(run) if metric in reported]
        layout = _layout(first, [metric for metric in reported if metric not in first])
        self._append("", [(0, [layout])])
        cells = table.groupby("cell", observed=True)
        for cell, rows in cells:
            self._append(safe_name(str(cell)), _values(rows))
        return cells.ngroups

    def _append(self, name: str, events: Sequence[tuple[int, list[Any]]]) -> None:
        """Write a file of events, unless the run called ``name`` holds the very same already."""
        summaries = [(step, messages().Summary(value=values)) for step, values in events]
        total = hashlib.sha256(b"".join(summary.SerializeToString() for _, summary in summaries)).digest()
        if self._written.get(name) == total:
            return
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        file = EventFile(folder / f"events.out.tfevents.{self._files:06d}.{uuid.uuid4().hex[:8]}")
        self._files += 1  # TensorBoard reads the files of a run in the order of their names
        if name in self._written:  # it then forgets what the earlier files said
            file.write(0, session_log=messages().SessionLog(status=messages().SessionLog.START))
        for step, summary in summaries:
            file.write(step, summary=summary)
        file.close()
        self._written[name] = total


def _values(rows: pd.DataFrame) -> list[tuple[int, list[Any]]]:
    value = messages().Summary.Value
    columns = zip(rows["metric"], rows["step"].tolist(), *(rows[kind].tolist() for kind in KINDS), strict=True)
    events: dict[int, list[Any]] = {}
    for metric, step, *numbers in columns:
        made = [
            value(tag=f"{k}/{metric}", simple_value=n) for k, n in zip(KINDS, numbers, strict=True) if math.isfinite(n)
        ]
        events.setdefault(step, []).extend(made)
    return sorted(events.items(), key=itemgetter(0))


# --- layout ----------------------------------------------------------------------------------------------------------


def _layout(first: Sequence[str], others: Sequence[str]) -> Any:
    """The summary that the Custom Scalars tab is built from: one chart per metric, with all cells in it."""
    from tensorboard.compat.proto import tensor_pb2, types_pb2
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    proto: Any = SimpleNamespace(
        **{**vars(layout_pb2), **vars(tensor_pb2), **vars(types_pb2)}
    )  # generated, opaque to type checkers
    categories = [  # TensorBoard shows the last chart of a category first
        proto.Category(title=title, chart=[_chart(proto, m) for m in reversed(metrics)], closed=bool(number))
        for number, (title, metrics) in enumerate(
            [("Cells: mean and 95 % interval over the confirm seeds", first), ("Cells: other metrics", others)]
        )
        if metrics
    ]
    text = proto.Layout(category=categories).SerializeToString()
    return messages().Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        metadata=metadata.create_summary_metadata(),
        tensor=proto.TensorProto(dtype=proto.DT_STRING, string_val=[text]),
    )


def _chart(proto: Any, metric: str) -> Any:
    mean, low, high = (f"{kind}/{metric}" for kind in KINDS)
    band = proto.MarginChartContent.Series(value=mean, lower=low, upper=high)
    return proto.Chart(title=metric, margin=proto.MarginChartContent(series=[band]))

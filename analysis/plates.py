"""The figures of a report: which ones a run deserves, the frames that they are drawn from, and their captions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Row
from analysis.frames import Run
from analysis.replicates import answer_metric, objectives, replicates, shown_metrics, values
from analysis.verdicts import Verdict
from analysis.wording import plain


@dataclass(frozen=True)
class Plate:
    """One numbered figure of one or more panels, which are SVG elements."""

    title: str
    caption: str
    panels: tuple[str, ...]
    legend: bool = False  # whether it needs one beside it


def swatches(table: list[Row]) -> dict[str, str]:
    return {
        cell: figures.svg(figures.swatch(style), f"swatch{i}") for i, (cell, style) in enumerate(_looks(table).items())
    }


def _looks(table: list[Row]) -> dict[str, figures.Style]:
    return figures.styles({row.cell: row.name for row in table})


def plates(run: Run, table: list[Row], judged: list[Verdict]) -> list[Plate]:
    looks = _looks(table)
    found = [_answer(run, table, looks), _claims(judged), _curves(run, looks), _nuisance(run, looks)]
    return [plate for plate in found if plate.panels]


def _answer(run: Run, table: list[Row], looks: Mapping[str, figures.Style]) -> Plate:
    goals = objectives(run.lock)
    if len(goals) > 1:
        return _front(table, looks, (goals[0].metric, goals[1].metric))
    target = answer_metric(run)
    pairs = [(row.cell, v) for row in table if target for v in row.seeds[target.metric].values() if math.isfinite(v)]
    caption = "Every dot is a confirm seed; the line is the 95 % interval of their mean."
    if not pairs or target is None:
        return Plate("The answer", caption, ())
    frame = pd.DataFrame(pairs, columns=["cell", "value"])
    drawn = figures.answer(frame, looks, target.metric)
    return Plate("The answer", caption, (figures.svg(drawn, "answer", f"{target.metric} of every cell"),))


def _front(table: list[Row], looks: Mapping[str, figures.Style], metrics: tuple[str, str]) -> Plate:
    records: list[dict[str, Any]] = []
    for row in table:
        record: dict[str, Any] = {"cell": row.cell}
        for axis, metric in zip("xy", metrics, strict=True):
            low, high = row.values[metric].interval()
            record |= {axis: row.values[metric].value, f"{axis}_low": low, f"{axis}_high": high}
        if math.isfinite(record["x"] + record["y"]):
            records.append(record)
    panels = ()
    if records:
        drawn = figures.front(pd.DataFrame(records), looks, metrics)
        panels = (figures.svg(drawn, "front", f"{metrics[1]} against {metrics[0]}"),)
    caption = "Every confirmed point of the fronts, with the 95 % intervals of its means over seeds."
    return Plate("The fronts", caption, panels, legend=True)


def _claims(judged: list[Verdict]) -> Plate:
    caption = (
        "The claimed region is shaded. A claim holds if the whole interval lies inside, and fails if it lies outside. "
        "Intervals are wide enough for all claims together (Holm)."
    )
    tested = [v for v in judged if math.isfinite(v.effect)]
    panels = (figures.svg(figures.forest(tested), "claims", "effects and intervals of the claims"),) if tested else ()
    return Plate("The claims", caption, panels)


def _curves(run: Run, looks: Mapping[str, figures.Style]) -> Plate:
    done = replicates(run)[["trial", "cell", "seed"]]
    panels = []
    for i, metric in enumerate(shown_metrics(run)):
        rows = run.reports.loc[run.reports["metric"] == metric, ["trial", "step", "value"]].merge(done, on="trial")
        rows = rows.loc[np.isfinite(rows["value"])]
        if rows["step"].nunique() > 1:
            drawn = figures.learning_curves(rows, looks, metric)
            panels.append(figures.svg(drawn, f"curve{i}", f"{metric} by step"))
    caption = "Mean over the confirm seeds of each winner, with the 95 % interval at each step."
    return Plate("Learning curves", caption, tuple(panels), legend=True)


def _nuisance(run: Run, looks: Mapping[str, figures.Style]) -> Plate:
    panels = [
        figures.svg(
            figures.nuisance(frame, looks, name, metric, log=_is_log(run, name)), f"nuisance{i}", f"{metric} by {name}"
        )
        for i, (name, metric, frame) in enumerate(_tuned(run))
    ]
    caption = (
        "Every small dot is a finished point of the search; the large one is the winner of its cell. Values far off "
        "the rest are drawn at the border."
    )
    return Plate("What was tuned", caption, tuple(panels), legend=True)


def _is_log(run: Run, name: str) -> bool:
    space = (run.lock.get("nuisance") or {}).get(name)
    return isinstance(space, Mapping) and bool(space.get("log"))


def _tuned(run: Run) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Parameter, objective, and the frame of its panel: the tuned points, each the mean over its tune seeds."""
    won = set(zip(run.winners["cell"], run.winners["point"], strict=True))
    trials = run.trials.loc[(run.trials["phase"] == "tune") & (run.trials["outcome"] == "done")]
    names = list(dict.fromkeys(name for params in trials["params"] for name in params))
    for objective in objectives(run.lock):
        known = values(run, objective.metric)
        y = [known.get(trial, math.nan) for trial in trials["trial"]]
        scored = trials.assign(y=y)[["cell", "point", "params", "y"]]
        scored = scored.loc[np.isfinite(scored["y"])]
        for name in names:
            frame = scored.assign(x=[_place(params.get(name)) for params in scored["params"]]).dropna(subset=["x"])
            means = frame.groupby(["cell", "point", "x"], sort=False, as_index=False).agg(y=("y", "mean"))
            keys = zip(means["cell"], means["point"], strict=True)
            if len(means):
                yield name, objective.metric, _typed(means.assign(winner=[key in won for key in keys]))


def _place(value: Any) -> Any:
    """A number stays one; any other choice is text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return plain(value).lower() if isinstance(value, bool) else plain(value)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = all(isinstance(x, int | float) for x in frame["x"])
    return frame.assign(x=frame["x"].astype(float) if numbers else frame["x"].astype(str))

"""The plates of the search: what was tuned, together and alone, and what of it mattered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis import figures
from analysis.budget import expected_best
from analysis.importance import POOLED
from analysis.importance import importance as importances
from analysis.plates.scene import Panel, Plate, Scene
from analysis.replicates import Objective, objectives, values
from analysis.wording import count, plain

_PARAMETERS = 9  # that are drawn
_ALONE = 6  # cells with a panel of their own
_ENOUGH = 8  # points for a contour plot


def nuisance(scene: Scene) -> Plate:
    panels = [
        Panel(
            f"nuisance{i}",
            f"{metric} by {name}",
            figures.nuisance(frame, scene.looks, name, metric, log=scene.is_log(name)),
        )
        for i, (name, metric, frame) in enumerate(_tuned(scene))
    ]
    caption = (
        "Every small dot is a finished point of the search; the large one is the winner of its cell. Values far off "
        "the rest are drawn at the border."
    )
    return Plate("What was tuned", scene.said(len(scene.top), caption), tuple(panels), scene.legend())


def _tuned(scene: Scene) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Parameter, objective, and the frame of its panel: the tuned points of the best cells."""
    for objective in objectives(scene.run.lock):
        points = _points(scene, objective)
        for name in _parameters(points)[:_PARAMETERS]:
            frame = points.assign(x=[_place(params.get(name)) for params in points["params"]]).dropna(subset=["x"])
            if len(frame):
                yield name, objective.metric, _typed(frame.rename(columns={"value": "y"}))


def _points(scene: Scene, objective: Objective, cells: list[str] | None = None) -> pd.DataFrame:
    """One row per finished point: cell, point, params, value (mean over its tune seeds), winner."""
    run = scene.run
    trials = run.trials.loc[(run.trials["phase"] == "tune") & (run.trials["outcome"] == "done")]
    trials = trials.loc[trials["cell"].isin(scene.top if cells is None else cells)]
    known = values(run, objective.metric)
    scored = trials.assign(value=[known.get(trial, math.nan) for trial in trials["trial"]])
    scored = scored.loc[np.isfinite(scored["value"].astype(float)), ["cell", "point", "params", "value"]]
    means = scored.groupby(["cell", "point"], sort=False, as_index=False).agg(
        params=("params", "first"), value=("value", "mean")
    )
    won = set(zip(run.winners["cell"], run.winners["point"], strict=True))
    return means.assign(winner=[key in won for key in zip(means["cell"], means["point"], strict=True)])


def _parameters(points: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(name for params in points["params"] for name in params))


def _place(value: Any) -> Any:
    """A number stays one; any other choice is text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return plain(value).lower() if isinstance(value, bool) else plain(value)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(x=_column(frame["x"].tolist()))


def _column(found: list[Any]) -> pd.Series:
    """All numbers, or all texts; what is missing stays missing."""
    if all(isinstance(v, int | float) for v in found if v is not None):
        return pd.Series([math.nan if v is None else float(v) for v in found], dtype=float)
    return pd.Series([None if v is None else str(v) for v in found], dtype=object)


def contours(scene: Scene) -> Plate:
    """Over the two numeric parameters that go with the objective most, in the cells with enough points."""
    goals = objectives(scene.run.lock)
    points = _points(scene, goals[0], scene.ranked[:_ALONE]) if len(goals) == 1 else pd.DataFrame()
    numbers = _numbers(points) if len(points) else {}
    pair = _strongest(scene, points, numbers)
    if len(pair) < 2:
        return Plate("In pairs", "", ())
    frame = points.assign(x=numbers[pair[0]].to_numpy(), y=numbers[pair[1]].to_numpy()).dropna(subset=["x", "y"])
    sizes = Counter(frame["cell"])
    frame = frame.loc[[sizes[cell] >= _ENOUGH for cell in frame["cell"]]]
    if not len(frame):
        return Plate("In pairs", "", ())
    log = (scene.is_log(pair[0]), scene.is_log(pair[1]))
    drawn = figures.contours(frame, scene.looks, (pair[0], pair[1]), goals[0].metric, log=log)
    caption = (
        "The objective over the two tuned numbers that it goes with most (rank correlation with the distance to the "
        "best point). Dots are points; between them it is interpolated; the star is the winner."
    )
    shown = scene.said(frame["cell"].nunique(), caption)
    return Plate("In pairs", shown, (Panel("contours", f"{goals[0].metric} by {' and '.join(pair)}", drawn),))


def _numbers(points: pd.DataFrame) -> dict[str, pd.Series]:
    columns = {name: _column([_place(params.get(name)) for params in points["params"]]) for name in _parameters(points)}
    return {name: c for name, c in columns.items() if c.dtype == float and c.nunique() > 2}


def _strongest(scene: Scene, points: pd.DataFrame, numbers: dict[str, pd.Series]) -> list[str]:
    """The two parameters whose distance from the best point's value goes with the rank of the objective."""
    if len(numbers) < 2:
        return list(numbers)
    objective = objectives(scene.run.lock)[0]
    ranks = points["value"].rank(ascending=not objective.maximize).to_numpy()
    best = int(np.argmin(ranks))

    def strength(name: str) -> float:
        x = numbers[name].to_numpy(dtype=float)
        x = np.log(x) if scene.is_log(name) else x
        distance = np.abs(x - x[best]) if not np.isnan(x[best]) else x
        known = ~np.isnan(distance)
        of_distance = pd.Series(distance[known]).rank().to_numpy()
        if len(set(of_distance)) < 2 or len(set(ranks[known])) < 2:
            return 0.0
        return -abs(float(np.corrcoef(of_distance, ranks[known])[0, 1]))

    return sorted(numbers, key=strength)[:2]


def parallel(scene: Scene) -> Plate:
    """All tuned parameters at once, if there are three or more."""
    goals = objectives(scene.run.lock)
    points = _points(scene, goals[0]) if len(goals) == 1 else pd.DataFrame()
    names = _parameters(points)[:_PARAMETERS] if len(points) else []
    if len(names) < 3 or len(points) < 3:
        return Plate("All at once", "", ())
    columns = {name: _column([_place(params.get(name)) for params in points["params"]]) for name in names}
    frame = pd.concat([points[["value", "winner"]], pd.DataFrame(columns)], axis=1)
    log = [name for name in names if scene.is_log(name) and columns[name].dtype == float]
    drawn = figures.parallel(frame, names, goals[0].metric, log=log, maximize=goals[0].maximize)
    caption = (
        f"Each line is one of {count(len(points), 'tuned point')}; the lighter, the better its rank; winners are "
        "thick. A line has a gap where a parameter does not apply."
    )
    shown = scene.said(len(scene.top), caption)
    return Plate("All at once", shown, (Panel("parallel", "tuned parameters and the objective", drawn),))


def importance(scene: Scene) -> Plate:
    """What mattered, if there are enough points to tell."""
    found = importances(scene.run)
    found = found.loc[found["value"].notna()]
    panels = [
        Panel(f"importance{i or ''}", f"importance for {metric}", figures.importance(rows, scene.looks, POOLED))
        for i, (metric, rows) in enumerate(found.groupby("objective", sort=False))
    ]
    caption = (
        "Bars: all cells together; marks: single cells; lines: 95 % intervals over random halves of the points. fANOVA "
        "is the share of the objective's variance that a parameter explains alone, PED-ANOVA how much the best points "
        "differ in it from all."
    )
    shown = list(dict.fromkeys(cell for cell in found["cell"] if cell in scene.looks))
    return Plate("What mattered", caption, tuple(panels), scene.legend(shown) if len(shown) > 1 else None)


def budget(scene: Scene) -> Plate:
    """What a shorter search would have found in each of the best cells, and so whether a longer one would find more."""
    found = expected_best(scene.run)
    found = found.loc[found["value"].notna() & found["cell"].isin(scene.ranked[:_ALONE])]
    caption = (
        "What the best of so many points of the search is worth on fresh seeds, whichever points come first, with the "
        "95 % interval (nested bootstrap). A curve that still climbs asks for more points. Dotted: the best value that "
        "the search itself saw, which is too good, because the best of many was also the luckiest."
    )
    if not len(found):
        return Plate("Whether the budget sufficed", caption, ())
    metric = objectives(scene.run.lock)[0].metric
    drawn = figures.budget(found, scene.looks, metric)
    shown = scene.said(found["cell"].nunique(), caption)
    return Plate("Whether the budget sufficed", shown, (Panel("budget", f"{metric} by budget", drawn),))

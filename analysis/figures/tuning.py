"""What the search saw: the objective by the tuned parameters, one by one, in pairs and all together."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from analysis.figures.look import FAINT, INK, MANY, SHADES, Style, label, log_x, plain_log, sheet, styled, ticks
from analysis.wording import number, param, plain

_ENOUGH = 8  # points for a surface between them
_LINES = 300  # above, they become an image


@styled
def nuisance(
    points: pd.DataFrame, looks: Mapping[str, Style], parameter: str, metric: str, *, log: bool = False
) -> Figure:
    """The objective against one tuned parameter. Winners are large; values far off the rest lie at the border.

    Args:
        points: cell, x (the parameter: numbers, or text for choices), y (the objective), winner (bool).
    """
    figure, axes = sheet(3.05, 2.4)
    points = points.assign(y=points["y"].clip(*_fences(points["y"].to_numpy(dtype=float))))
    choices = [] if pd.api.types.is_numeric_dtype(points["x"]) else sorted(points["x"].unique())
    if choices:
        points = points.assign(x=[choices.index(choice) for choice in points["x"]])
    for cell, rows in points.groupby("cell", sort=False):
        _dots(axes, rows, looks[str(cell)], rasterized=len(points) > MANY)
    axes.set(xlabel=label(parameter), ylabel=label(metric, 30))
    axes.grid(axis="y")
    ticks(axes.yaxis)
    if choices:
        axes.set_xticks(range(len(choices)), [plain(choice, max(4, 32 // len(choices))) for choice in choices])
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif log:
        log_x(axes)
    else:
        ticks(axes.xaxis)
    return figure


def _dots(axes: Axes, rows: pd.DataFrame, style: Style, *, rasterized: bool) -> None:
    look: dict[str, Any] = {"color": style.colour, "marker": style.marker}
    axes.scatter(rows["x"], rows["y"], s=14, alpha=0.6, lw=0, rasterized=rasterized, **look)
    best = rows[rows["winner"]]
    axes.scatter(best["x"], best["y"], s=80, edgecolors=INK, lw=1.2, zorder=3, **look)


def _fences(values: np.ndarray) -> tuple[float, float]:
    """Where a value counts as far off: three interquartile ranges (Tukey, 1977, Exploratory Data Analysis)."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low)
    return (low - reach, high + reach) if reach > 0 else (-math.inf, math.inf)


@styled
def contours(
    points: pd.DataFrame,
    looks: Mapping[str, Style],
    parameters: tuple[str, str],
    metric: str,
    *,
    log: tuple[bool, bool] = (False, False),
) -> Figure:
    """The objective over two tuned parameters, one panel per cell on one scale; between the points it is interpolated.

    Args:
        points: cell, x, y (numbers), value (the objective), winner (bool).
    """
    cells = list(dict.fromkeys(points["cell"]))
    across = min(3, len(cells))
    down = -(-len(cells) // across)
    figure = Figure(figsize=(2.3 * across + 0.9, 2.1 * down + 0.2), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    known = points["value"].to_numpy(dtype=float)
    low, high, fences = float(known.min()), float(known.max()), _fences(known)
    scale = Normalize(max(low, fences[0]), min(high, fences[1]))
    for axes, cell in zip(grid.flat, cells, strict=False):
        _surface(axes, points.loc[points["cell"] == cell], scale, log)
        axes.set_title(looks[cell].name, color=INK)
    for axes in grid.flat[len(cells) :]:
        axes.set_axis_off()
    figure.supxlabel(label(parameters[0]), fontsize=8.5)
    figure.supylabel(label(parameters[1]), fontsize=8.5)
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(scale, SHADES), ax=grid, shrink=0.9, aspect=24, pad=0.02)
    bar.set_label(label(metric, 30))
    bar.outline.set_visible(False)
    ticks(bar.ax.yaxis)
    return figure


def _surface(axes: Axes, rows: pd.DataFrame, scale: Normalize, log: tuple[bool, bool]) -> None:
    x, y, value = (rows[name].to_numpy(dtype=float) for name in ("x", "y", "value"))
    triangles = _triangles(np.log(x) if log[0] else x, np.log(y) if log[1] else y)
    if triangles is not None and scale.vmax != scale.vmin:
        mesh = Triangulation(x, y, triangles)
        levels = np.linspace(scale.vmin or 0.0, scale.vmax or 1.0, 9)
        axes.tricontourf(mesh, value, levels=levels, cmap=SHADES, norm=scale, alpha=0.75, extend="both")
    axes.scatter(x, y, c=value, cmap=SHADES, norm=scale, s=13, edgecolors=INK, lw=0.4)
    best = rows.loc[rows["winner"]]
    axes.use_sticky_edges = False  # or points on the border would be cut in half
    axes.margins(0.06)
    axes.scatter(best["x"], best["y"], s=95, marker="*", color="#ffffff", edgecolors="#000000", lw=0.9, zorder=3)
    for axis, logarithmic in zip((axes.xaxis, axes.yaxis), log, strict=True):
        if logarithmic:
            getattr(axes, f"set_{axis.axis_name}scale")("log")
            plain_log(axis)
        else:
            ticks(axis)


def _triangles(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Delaunay's, on axes of equal length; None if the points are too few or lie on a line."""
    if len(x) < _ENOUGH or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return None
    try:
        return Triangulation((x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)).triangles
    except (RuntimeError, ValueError):
        return None


@styled
def parallel(
    points: pd.DataFrame, parameters: Collection[str], metric: str, *, log: Collection[str] = (), maximize: bool = True
) -> Figure:
    """Parallel coordinates: one line per tuned point through its parameters to its objective; winners are thick.

    The shade is the rank of the point, so that one bad point does not bleach the rest.

    Args:
        points: one column per parameter (numbers, or text for choices), value (the objective), winner (bool).
    """
    figure, axes = sheet(min(9.0, 1.4 + 1.25 * (len(parameters) + 1)), 2.9)
    names = [*parameters, "value"]
    columns = [_place(points[name], name in log) for name in names]
    ranks = points["value"].rank(ascending=maximize, pct=True).to_numpy()
    lines = np.stack([np.stack([np.full(len(points), float(i)), c], axis=1) for i, c in enumerate(columns)], axis=1)
    won = points["winner"].to_numpy(dtype=bool)
    for chosen, width, alpha in ((~won, 0.9, 0.55), (won, 2.4, 1.0)):
        segments: list[Any] = list(lines[chosen])
        drawn = LineCollection(segments, array=ranks[chosen], cmap=SHADES, lw=width, alpha=alpha)
        drawn.set(clim=(0, 1), rasterized=len(segments) > _LINES)
        axes.add_collection(drawn)
    for i, name in enumerate(names):
        axes.axvline(i, color=FAINT, lw=0.7)
        for place, text in _ends(points[name], columns[i]):
            axes.annotate(text, (i, place), (4, 0), textcoords="offset points", fontsize=7, va="center", color=INK)
    shown = [*parameters, metric]
    axes.set_xticks(range(len(names)), [label(name, 22) if len(names) < 6 else label(name, 14) for name in shown])
    axes.set(xlim=(-0.1, len(names) - 1 + 0.5), ylim=(-0.06, 1.06), yticks=[])
    axes.spines[:].set_visible(False)
    return figure


def _place(column: Any, log: bool) -> np.ndarray:
    """Where each value lies between 0 and 1; NaN stays, and leaves a gap in the line."""
    if not pd.api.types.is_numeric_dtype(column):
        choices = sorted(column.dropna().unique())
        codes = column.map({choice: i for i, choice in enumerate(choices)}).to_numpy(dtype=float)
        return codes / max(1, len(choices) - 1)
    values = column.to_numpy(dtype=float)
    values = np.log(values) if log else values
    low, high = np.nanmin(values), np.nanmax(values)
    return (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)


def _ends(column: Any, places: np.ndarray) -> list[tuple[float, str]]:
    """What is written beside an axis: both ends of numbers, every choice of choices."""
    known = [(float(p), v) for p, v in zip(places, column, strict=True) if not math.isnan(p)]
    if not pd.api.types.is_numeric_dtype(column):
        return sorted({(p, plain(v, 12)) for p, v in known})
    ends = {min(known, default=(0.5, math.nan)), max(known, default=(0.5, math.nan))}
    return [(p, number(float(v), 3) if not isinstance(v, bool) else param(v)) for p, v in sorted(ends)]

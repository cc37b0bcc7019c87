"""The answer along one numeric factor, and over two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis import stats
from analysis.figures.look import INK, SHADES, WIDE, Style, label, log_x, sheet, styled, ticks
from analysis.wording import number, plain

_FEW = 5  # seeds: below, every replicate is shown
_ROOM = 144  # squares that leave room for a number in each
_TICKS = 24  # levels that leave room for all their names


@styled
def response(
    values: pd.DataFrame,
    looks: Mapping[str, Style],
    factor: str,
    metric: str,
    *,
    log: bool = False,
    fits: pd.DataFrame | None = None,
) -> Figure:
    """The metric along a numeric factor: mean and 95 % band over seeds, the replicates if they are few, and fits.

    Args:
        values: series, x (the level), seed, value.
        looks: one style per series.
        fits: series, x, y, drawn dotted.
    """
    figure, axes = sheet(WIDE, 3.2)
    for series, rows in values.groupby("series", sort=False):
        _response(axes, rows, looks[str(series)])
        if fits is not None and len(mine := fits.loc[fits["series"] == series]):
            axes.plot(mine["x"], mine["y"], color=looks[str(series)].colour, ls=":", lw=1.6)
    axes.set(xlabel=label(factor), ylabel=label(metric))
    axes.grid(axis="y")
    ticks(axes.yaxis)
    if log:
        log_x(axes)
    else:
        ticks(axes.xaxis)
    levels = sorted(set(values["x"]))
    if len(levels) <= 8:
        axes.set_xticks(levels, [number(level) for level in levels], minor=False)
        axes.set_xticks([], minor=True)
    return figure


def _response(axes: Axes, rows: pd.DataFrame, style: Style) -> None:
    groups: list[tuple[Any, Any]] = [(x, group["value"].to_numpy(dtype=float)) for x, group in rows.groupby("x")]
    levels = np.array([x for x, _ in groups], dtype=float)
    means = [stats.mean(found) for _, found in groups]
    low, high = np.array([mean.interval() for mean in means]).T
    axes.fill_between(levels, low, high, color=style.colour, alpha=0.18, lw=0)
    look: dict[str, Any] = {"color": style.colour, "ls": style.dash, "lw": 1.4, "marker": style.marker, "ms": 5}
    axes.plot(levels, [mean.value for mean in means], **look)
    if min(mean.count for mean in means) < _FEW:
        axes.scatter(rows["x"], rows["value"], s=8, color=style.colour, alpha=0.6, lw=0)


@styled
def phase(values: pd.DataFrame, factors: tuple[str, str], metric: str, *, maximize: bool = True) -> Figure:
    """A phase diagram: the mean over seeds by two factors; the best square is framed, one without a result is empty.

    Args:
        values: panel (levels of the other factors; one empty text if there are none), x, y, value; the levels come in
            the order in which they are first seen.
    """
    panels = list(dict.fromkeys(values["panel"]))
    xs, ys = (list(dict.fromkeys(values[axis])) for axis in "xy")
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    size = (min(4.2, 1.7 + 0.5 * len(xs)) * across + 0.7, min(4.0, 1.0 + 0.34 * len(ys)) * down)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    known = values["value"].to_numpy(dtype=float)
    scale = Normalize(float(np.nanmin(known)), float(np.nanmax(known)))
    mesh: Any = None
    for axes, name in zip(grid.flat, panels, strict=False):
        mesh = _squares(axes, _table(values.loc[values["panel"] == name], xs, ys), scale, maximize=maximize)
        axes.set_title(plain(name, 44), color=INK)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel(label(factors[0]), fontsize=8.5)
    figure.supylabel(label(factors[1]), fontsize=8.5)
    _bar(figure, mesh, grid, metric)
    return figure


def _table(rows: pd.DataFrame, xs: list[str], ys: list[str]) -> pd.DataFrame:
    return rows.pivot_table(index="y", columns="x", values="value", dropna=False).reindex(index=ys, columns=xs)


def _squares(axes: Axes, table: pd.DataFrame, scale: Normalize, *, maximize: bool) -> Any:
    grid = table.to_numpy(dtype=float)
    mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap=SHADES, norm=scale, edgecolors="none", rasterized=False)
    if np.isfinite(grid).any():
        best = np.nanargmax(grid if maximize else -grid)
        row, column = divmod(int(best), grid.shape[1])
        axes.add_patch(_frame(column, row))
    if grid.size <= _ROOM and grid.shape[1] <= 10:
        _write(axes, grid, scale)
    across, down = (range(0, n, -(-n // _TICKS)) for n in (grid.shape[1], grid.shape[0]))
    turn = 45 if sum(len(plain(table.columns[i], 10)) + 1 for i in across) > 48 else 0
    axes.set_xticks([i + 0.5 for i in across], [plain(table.columns[i], 10) for i in across], rotation=turn)
    axes.set_yticks([i + 0.5 for i in down], [plain(table.index[i], 18) for i in down])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, fill=False, edgecolor=INK, lw=1.8, zorder=3)


def _write(axes: Axes, grid: np.ndarray, scale: Normalize) -> None:
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = float(np.dot(colormaps[SHADES](scale(value))[:3], (0.299, 0.587, 0.114))) < 0.5
            ink = "#ffffff" if dark else "#000000"
            axes.text(column + 0.5, row + 0.5, number(value, 3), ha="center", va="center", fontsize=7, color=ink)


def _bar(figure: Figure, mesh: Any, grid: Any, metric: str) -> None:
    bar = figure.colorbar(mesh, ax=grid, shrink=0.9, aspect=24, pad=0.02)
    bar.set_label(label(metric))
    bar.outline.set_visible(False)
    ticks(bar.ax.yaxis)

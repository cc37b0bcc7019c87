"""What the cells are worth: every replicate, the curves that led there, and the fronts of several objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import stats
from analysis.figures.attainment import attainment
from analysis.figures.look import PAPER, WIDE, Style, bare, label, sheet, styled, ticks


@styled
def learning_curves(curves: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """Mean and 95 % band over the seeds of each cell; below three seeds, a thin line for each.

    Args:
        curves: cell, seed, step, value.
    """
    figure, axes = sheet()
    for cell, rows in curves.groupby("cell", sort=False):
        _curve(axes, _thinned(rows), looks[str(cell)])
    axes.set(xlabel="step", ylabel=label(metric))
    axes.grid(axis="y")
    ticks(axes.xaxis)
    ticks(axes.yaxis)
    return figure


def _thinned(rows: pd.DataFrame, most: int = 200) -> pd.DataFrame:
    """Steps by seeds, at as many steps as a line of four inches can show."""
    steps = np.unique(rows["step"].to_numpy())
    chosen = steps[np.unique(np.linspace(0, len(steps) - 1, most).astype(int))]
    return rows.loc[np.isin(rows["step"].to_numpy(), chosen)].pivot_table(index="step", columns="seed", values="value")


def _curve(axes: Axes, table: pd.DataFrame, style: Style) -> None:
    if table.shape[1] < 3:
        axes.plot(table.index, table.to_numpy(), color=style.colour, ls=style.dash, lw=0.8)
        return
    estimates = [stats.mean(row[~np.isnan(row)]) for row in table.to_numpy()]
    low, high = np.array([e.interval() for e in estimates]).T
    middle = [e.value for e in estimates]
    axes.fill_between(table.index.to_numpy(), low, high, color=style.colour, alpha=0.18, lw=0)
    every = max(1, len(table) // 6)
    look: dict[str, Any] = {"color": style.colour, "ls": style.dash, "lw": 1.4, "marker": style.marker, "ms": 4}
    axes.plot(table.index, middle, markevery=every, **look)


@styled
def answer(values: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """Every replicate, and the mean with its 95 % interval, one row per cell.

    Args:
        values: cell, value.
    """
    cells = list(dict.fromkeys(values["cell"]))
    figure, axes = sheet(WIDE, 0.75 + 0.34 * len(cells))
    for row, cell in enumerate(cells):
        style, found = looks[cell], values.loc[values["cell"] == cell, "value"].to_numpy(dtype=float)
        axes.scatter(found, np.full(len(found), row + 0.16), s=9, color=style.colour, alpha=0.6, lw=0)
        mean = stats.mean(found)
        axes.plot(mean.interval(), [row - 0.08] * 2, color=style.colour, lw=2.2, solid_capstyle="butt")
        axes.plot([mean.value], [row - 0.08], marker=style.marker, color=style.colour, ms=7, mec=PAPER, mew=0.8)
    axes.set_yticks(range(len(cells)), [looks[cell].name for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    bare(axes)
    axes.grid(axis="x")
    axes.set_xlabel(label(metric, 60))
    ticks(axes.xaxis)
    return figure


@styled
def front(
    points: pd.DataFrame, looks: Mapping[str, Style], metrics: tuple[str, str], maximize: tuple[bool, bool]
) -> Figure:
    """Two objectives of every confirmed point: its mean over seeds, and what the seeds of its cell attain.

    The line is attained by half of the seeds; the band lies between what a quarter and three quarters attain. With
    fewer than five seeds there is no band, but every replicate.

    Args:
        points: cell, point, seed, x, y.
        maximize: whether x and y are better high.
    """
    figure, axes = sheet(5.2, 3.4)
    for cell, rows in points.groupby("cell", sort=False):
        _front(axes, rows, looks[str(cell)], maximize)
    axes.set(xlabel=label(metrics[0], 50), ylabel=label(metrics[1]))
    axes.grid()
    axes.margins(0.06)
    ticks(axes.xaxis)
    ticks(axes.yaxis)
    return figure


def _front(axes: Axes, rows: pd.DataFrame, style: Style, maximize: tuple[bool, bool]) -> None:
    if len(set(rows["seed"])) < 5:
        axes.scatter(rows["x"], rows["y"], s=9, color=style.colour, alpha=0.6, lw=0)
    else:
        surface = attainment(rows, maximize)
        x, low, middle, high = (surface[name].to_numpy() for name in ("x", "low", "middle", "high"))
        where: Any = "pre" if maximize[0] else "post"
        axes.fill_between(x, low, high, step=where, color=style.colour, alpha=0.18, lw=0)
        axes.step(x, middle, where=where, color=style.colour, ls=style.dash, lw=1.2)
    means: pd.DataFrame = rows.pivot_table(index="point", values=["x", "y"])
    axes.plot(means["x"], means["y"], style.marker, color=style.colour, ms=6, mec=PAPER, mew=0.8)

"""What the search would have found with fewer points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.look import FAINT, INK, Style, label, log_x, styled, ticks

_WIDE = 40  # points: above, the axis is logarithmic


@styled
def budget(curves: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """Expected best by budget, one panel per cell on one scale; dotted is the best observed, which is too good.

    Args:
        curves: cell, budget (number of points), value, low, high, naive.
    """
    cells = list(dict.fromkeys(curves["cell"]))
    across = min(3, len(cells))
    down = -(-len(cells) // across)
    figure = Figure(figsize=(2.3 * across + 0.5, 1.9 * down + 0.2), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, cell in zip(grid.flat, cells, strict=False):
        _curve(axes, curves.loc[curves["cell"] == cell], looks[cell])
        axes.set_title(looks[cell].name, color=INK)
    for axes in grid.flat[len(cells) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylim(*_limits(curves))
    figure.supxlabel("points of the search", fontsize=8.5)
    figure.supylabel(label(metric, 30), fontsize=8.5)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, style: Style) -> None:
    x, value, low, high, naive = (rows[c].to_numpy(dtype=float) for c in ("budget", "value", "low", "high", "naive"))
    axes.fill_between(x, low, high, color=style.colour, alpha=0.18, lw=0)
    axes.plot(x, value, color=style.colour, lw=1.6)
    axes.plot(x, naive, color=FAINT, ls=":", lw=1.6)
    axes.grid(axis="y")
    ticks(axes.yaxis)
    if x.max() > _WIDE:
        log_x(axes)
    else:
        ticks(axes.xaxis)


def _limits(curves: pd.DataFrame) -> tuple[float, float]:
    """So that a few exploded points, which reign while the budget is small, do not flatten all that follows."""
    columns = ["value", "low", "high", "naive"]
    most = curves.groupby("cell")["budget"].transform("max").to_numpy(dtype=float)
    late = curves.loc[curves["budget"].to_numpy() >= most / 4, columns].to_numpy()
    low, high = np.nanmin(late), np.nanmax(late)
    reach = (high - low) or 1.0
    whole = curves[columns].to_numpy()
    return max(low - reach, np.nanmin(whole) - 0.05 * reach), min(high + reach, np.nanmax(whole) + 0.05 * reach)

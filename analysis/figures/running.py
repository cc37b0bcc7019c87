"""How the run went: who was stopped early, and how many trials ran at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from analysis.figures.look import COLOURS, FAINT, INK, RULE, WIDE, Style, label, sheet, styled, ticks

_MOST_LINES = 400  # of stopped or finished points
_BINS = 240  # of time
_PHASES = {"tune": (COLOURS[5], "//"), "confirm": (COLOURS[0], "")}


@styled
def rungs(judged: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """What the early stopping saw of each point, and where it stopped it; below, how many points went on.

    Args:
        judged: cell, number (of the point), step, value, prune (bool).
    """
    figure = Figure(figsize=(WIDE, 3.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    judged = judged.sort_values(["cell", "number", "step"], kind="stable")
    keys = list(judged.groupby(["cell", "number"], sort=False))
    chosen = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, _MOST_LINES).astype(int))]
    for cell in dict.fromkeys(str(name[0]) for name, _ in chosen):
        lines = [rows[["step", "value"]].to_numpy(dtype=float) for (c, _), rows in chosen if c == cell]
        above.add_collection(LineCollection(lines, colors=looks[cell].colour, lw=0.7, alpha=0.6))
        ends = np.array([rows[["step", "value"]].iloc[-1] for (c, _), rows in chosen if c == cell], dtype=float)
        stopped = np.array([bool(rows["prune"].iloc[-1]) for (c, _), rows in chosen if c == cell])
        above.scatter(*ends[stopped].T, marker="x", s=18, lw=1, color=looks[cell].colour)
        above.scatter(*ends[~stopped].T, marker=looks[cell].marker, s=14, lw=0, color=looks[cell].colour)
    steps = np.unique(judged["step"])
    last = np.sort(judged.groupby(["cell", "number"]).agg(last=("step", "max"))["last"].to_numpy())
    going = len(last) - np.searchsorted(last, steps)
    below.fill_between(steps, 0, going, step="post", color=FAINT, alpha=0.3, lw=0)
    below.step(steps, going, where="post", color=INK, lw=1)
    above.set_ylabel(label(metric, 30))
    below.set(xlabel="step", ylabel="points", ylim=(0, None))
    for axes in (above, below):
        axes.grid(axis="y")
        ticks(axes.yaxis)
    ticks(below.xaxis)
    above.autoscale_view()
    return figure


@styled
def utilisation(attempts: pd.DataFrame, capacity: float = math.nan) -> Figure:
    """How many trials ran at a time, by phase, since the run began.

    Args:
        attempts: phase (tune or confirm), began, ended; seconds.
        capacity: how many could run; a line if it is known.
    """
    figure, axes = sheet(WIDE, 2.3)
    start, end = min(attempts["began"].tolist()), max(attempts["ended"].tolist())
    length, unit = _unit(end - start)
    edges = np.linspace(start, end, _BINS + 1) if end > start else np.array([start, start + 1.0])
    below = np.zeros(len(edges))
    for phase, (colour, hatch) in _PHASES.items():
        level = _running(attempts.loc[attempts["phase"] == phase], edges)
        top = below + np.append(level, level[-1:])
        x = (edges - start) / length
        if level.any():
            look = {"color": colour, "alpha": 0.75, "lw": 0, "hatch": hatch, "edgecolor": RULE}
            axes.fill_between(x, below, top, step="post", label=phase, **look)
        below = top
    if math.isfinite(capacity):
        axes.axhline(capacity, color=FAINT, lw=0.8, ls=(0, (3, 2)))
    axes.set(xlabel=f"time since the start ({unit})", ylabel="trials running", ylim=(0, None), xlim=(0, None))
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=2, borderaxespad=0)
    axes.grid(axis="y")
    ticks(axes.xaxis)
    ticks(axes.yaxis)
    return figure


def _unit(seconds: float) -> tuple[float, str]:
    return (1.0, "s") if seconds < 180 else (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def _running(attempts: pd.DataFrame, edges: np.ndarray) -> np.ndarray:
    """The mean number of trials that ran in each bin: the integral of each attempt, binned."""
    began, ended = (np.sort(attempts[name].to_numpy(dtype=float)) for name in ("began", "ended"))
    return np.diff(_integral(began, edges) - _integral(ended, edges)) / np.diff(edges)


def _integral(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The sum over all times t of max(0, edge - t), for each edge."""
    count = np.searchsorted(times, edges)
    sums = np.concatenate([[0.0], np.cumsum(times - edges[0])])
    return count * (edges - edges[0]) - sums[count]

"""Claims, importance and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.look import COLOURS, FAINT, INK, PAPER, WIDE, Style, bare, label, sheet, styled, ticks
from analysis.verdicts import Verdict
from analysis.wording import plain


@styled
def forest(found: Sequence[Verdict]) -> Figure:
    """A forest plot. One strip per claim, each with a scale of its own: effect, interval, claimed region shaded."""
    shown = [v for v in found if math.isfinite(v.effect)]
    figure = Figure(figsize=(WIDE, 0.2 + 0.85 * max(1, len(shown))), layout="constrained")
    strips = figure.subplots(max(1, len(shown)), 1, squeeze=False)[:, 0]
    for axes, verdict in zip(strips, shown, strict=False):
        _strip(axes, verdict)
    if not shown:
        strips[0].set_axis_off()
    return figure


def _strip(axes: Axes, verdict: Verdict) -> None:
    low, high = (v if math.isfinite(v) else verdict.effect for v in (verdict.low, verdict.high))
    bounds = [bound for bound in verdict.claim.region() if math.isfinite(bound)]
    left, right = min(low, verdict.effect, *bounds), max(high, verdict.effect, *bounds)
    space = 0.12 * (right - left) or 1.0
    left, right = left - space, right + space
    floor, ceiling = verdict.claim.region()
    axes.axvspan(max(floor, left), min(ceiling, right), color=COLOURS[2], alpha=0.13, lw=0)
    for bound in bounds:
        axes.axvline(bound, color=FAINT, lw=0.8, ls=(0, (3, 2)))
    axes.plot([low, high], [0, 0], color=INK, lw=1.6)
    marker = {"holds": "o", "fails": "X"}.get(verdict.verdict, "D")
    axes.plot([verdict.effect], [0], marker=marker, ms=7, color=INK, mfc=PAPER if marker == "D" else INK)
    axes.set(xlim=(left, right), ylim=(-1, 1), yticks=[], xlabel=label(verdict.claim.effect(), 70))
    axes.set_title(plain(f"{verdict.claim.name}: {verdict.verdict}", 76), color=INK)
    axes.spines["left"].set_visible(False)
    ticks(axes.xaxis)


@styled
def importance(shares: pd.DataFrame, looks: Mapping[str, Style], pooled: str = "") -> Figure:
    """How much of the objective's variation each tuned parameter explains: a bar pooled over cells, a mark per cell.

    Args:
        shares: cell, parameter, method, value, low, high; one panel per method.
        pooled: what the pooled rows are called in ``cell``.
    """
    methods = list(dict.fromkeys(shares["method"]))
    means = shares.groupby("parameter").agg(mean=("value", "mean"))["mean"].to_dict()
    order = sorted(means, key=lambda name: -means[name])
    size = (3.3 * len(methods) + 0.9, 0.75 + 0.42 * len(order))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
    for axes, method in zip(panels, methods, strict=True):
        _bars(axes, shares.loc[shares["method"] == method], looks, list(order), pooled)
        axes.set_xlabel(f"share of importance, {plain(method, 30)}")
    panels[0].set_yticks(range(len(order)), [plain(name, 34) for name in order])
    panels[0].set_ylim(len(order) - 0.5, -0.5)
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Style], order: list[str], pooled: str) -> None:
    cells = [cell for cell in dict.fromkeys(rows["cell"]) if cell in looks]
    for row in rows.to_dict("records"):
        y, ends = float(order.index(row["parameter"])), [row["low"], row["high"]]
        if row["cell"] == pooled:
            axes.barh(y, row["value"], height=0.62, color=FAINT, alpha=0.28, lw=0)
            axes.plot(ends, [y, y], color=INK, lw=1.2)
        elif row["cell"] in looks:
            style = looks[row["cell"]]
            y += 0.56 * ((cells.index(row["cell"]) + 0.5) / len(cells) - 0.5)
            axes.plot(ends, [y, y], color=style.colour, lw=0.9)
            axes.plot([row["value"]], [y], style.marker, color=style.colour, ms=4.5, mec=PAPER, mew=0.5)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    bare(axes)
    ticks(axes.xaxis)


@styled
def calibration(bins: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    """A reliability diagram: accuracy against confidence, per cell the mean over its seeds and their range.

    Source: Guo et al., 2017, arXiv:1706.04599, fig. 1.

    Args:
        bins: cell, seed, bin, confidence, accuracy; all in [0, 1].
    """
    figure, axes = sheet(3.4, 3.2)
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=(0, (3, 2)))
    for cell, rows in bins.groupby("cell", sort=False):
        style = looks[str(cell)]
        parts = rows.groupby("bin").agg(
            x=("confidence", "mean"), y=("accuracy", "mean"), low=("accuracy", "min"), high=("accuracy", "max")
        )
        x, y, low, high = parts.to_numpy().T
        axes.vlines(x, low, high, color=style.colour, lw=0.9)
        axes.plot(x, y, color=style.colour, ls=style.dash, marker=style.marker, lw=1.2, ms=4)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence (0 to 1)", ylabel="accuracy (0 to 1)")
    axes.grid()
    return figure

"""Pure functions from frames to figures, and from figures to SVG that can stand inside a page.

A cell has the same colour, marker and dashes in every figure, so it can be told apart in grey, too. Colours: Okabe and
Ito, 2008, Color Universal Design, without its yellow and black, which vanish on a white or a dark page.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from analysis import stats
from analysis.verdicts import Verdict
from analysis.wording import number, plain

# Stand-ins that the page replaces by its own colours, so that figures follow its light and dark themes.
INK, FAINT, RULE, PAPER = "#101112", "#707172", "#c0c1c2", "#fefdfc"
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    "#0072b2": "var(--blue)",
}
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c8c")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")  # 7 colours x 8 markers: 56 cells that differ
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
_MANY = 2000  # points: above, a scatter becomes an image
_WIDTH, _WIDE = 4.6, 5.4  # inches

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "assay",
    "text.parse_math": False,  # a name may hold dollars
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
P = ParamSpec("P")


@dataclass(frozen=True)
class Style:
    """How a cell looks in every figure, and what it is called there."""

    name: str
    colour: str
    marker: str
    dash: Any


def styles(names: Mapping[str, str]) -> dict[str, Style]:
    """One style per cell, given what each cell is called."""
    return {
        cell: Style(plain(name, 30), _COLOURS[i % 7], _MARKERS[i % 8], _DASHES[i % 4])
        for i, (cell, name) in enumerate(names.items())
    }


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _settings():
            return draw(*args, **kwargs)

    return wrapped


@contextmanager
def _settings() -> Iterator[None]:
    with rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the font
        yield


def svg(figure: Figure, name: str, label: str = "") -> str:
    """The figure as an SVG element: no prolog, ids of its own, and the same bytes every time.

    Args:
        name: makes the ids unique within a page.
        label: what it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with _settings():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub("|".join(_VARIABLES), lambda match: _VARIABLES[match[0]], text)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    spoken = f'role="img" aria-label="{escape(plain(label))}"' if label else 'aria-hidden="true"'
    box = re.search(r'viewBox="[\d. ]*"', text)
    assert box, "matplotlib writes a viewBox"
    return f'<svg {box[0]} width="{width}" height="{height}" {spoken}>' + text[text.index(">") + 1 :]


def _axes(width: float = _WIDTH, height: float = 2.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _ticks(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _log(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


@_styled
def swatch(style: Style) -> Figure:
    """The line and marker of a cell, for legends and tables."""
    figure = Figure(figsize=(0.34, 0.16))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1, 2], [0, 0, 0], color=style.colour, ls=style.dash, lw=1.4, marker=style.marker, markevery=[1], ms=6)
    axes.set_axis_off()
    return figure


@_styled
def learning_curves(curves: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """Mean and 95 % band over the seeds of each cell; below three seeds, a thin line for each.

    Args:
        curves: cell, seed, step, value.
    """
    figure, axes = _axes()
    for cell, rows in curves.groupby("cell", sort=False):
        _curve(axes, rows.pivot_table(index="step", columns="seed", values="value"), looks[str(cell)])
    axes.set(xlabel="step", ylabel=plain(metric, 40))
    axes.grid(axis="y")
    _ticks(axes.xaxis)
    _ticks(axes.yaxis)
    return figure


def _curve(axes: Axes, table: pd.DataFrame, style: Style) -> None:
    if table.shape[1] < 3:
        axes.plot(table.index, table.to_numpy(), color=style.colour, ls=style.dash, lw=0.8)
        return
    table = table.iloc[np.unique(np.linspace(0, len(table) - 1, 200).astype(int))]  # enough for a line of 4 inches
    estimates = [stats.mean(row[~np.isnan(row)]) for row in table.to_numpy()]
    low, high = np.array([e.interval() for e in estimates]).T
    middle = [e.value for e in estimates]
    axes.fill_between(table.index.to_numpy(), low, high, color=style.colour, alpha=0.18, lw=0)
    every = max(1, len(table) // 6)
    look: dict[str, Any] = {"color": style.colour, "ls": style.dash, "lw": 1.4, "marker": style.marker, "ms": 4}
    axes.plot(table.index, middle, markevery=every, **look)


@_styled
def nuisance(
    points: pd.DataFrame, looks: Mapping[str, Style], parameter: str, metric: str, *, log: bool = False
) -> Figure:
    """The objective against one tuned parameter. Winners are large; values far off the rest lie at the border.

    Args:
        points: cell, x (the parameter: numbers, or text for choices), y (the objective), winner (bool).
    """
    figure, axes = _axes(3.05, 2.4)
    points = points.assign(y=points["y"].clip(*_fences(points["y"].to_numpy(dtype=float))))
    choices = [] if pd.api.types.is_numeric_dtype(points["x"]) else sorted(points["x"].unique())
    if choices:
        points = points.assign(x=[choices.index(choice) for choice in points["x"]])
    for cell, rows in points.groupby("cell", sort=False):
        _dots(axes, rows, looks[str(cell)], rasterized=len(points) > _MANY)
    axes.set(xlabel=plain(parameter, 40), ylabel=plain(metric, 30))
    axes.grid(axis="y")
    _ticks(axes.yaxis)
    if choices:
        axes.set_xticks(range(len(choices)), [plain(choice, max(4, 32 // len(choices))) for choice in choices])
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif log:
        _log(axes)
    else:
        _ticks(axes.xaxis)
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


@_styled
def answer(values: pd.DataFrame, looks: Mapping[str, Style], metric: str) -> Figure:
    """Every replicate, and the mean with its 95 % interval, one row per cell.

    Args:
        values: cell, value.
    """
    cells = list(dict.fromkeys(values["cell"]))
    figure, axes = _axes(_WIDE, 0.75 + 0.34 * len(cells))
    for row, cell in enumerate(cells):
        style, found = looks[cell], values.loc[values["cell"] == cell, "value"].to_numpy(dtype=float)
        axes.scatter(found, np.full(len(found), row + 0.16), s=9, color=style.colour, alpha=0.6, lw=0)
        mean = stats.mean(found)
        axes.plot(mean.interval(), [row - 0.08] * 2, color=style.colour, lw=2.2, solid_capstyle="butt")
        axes.plot([mean.value], [row - 0.08], marker=style.marker, color=style.colour, ms=7, mec=PAPER, mew=0.8)
    axes.set_yticks(range(len(cells)), [looks[cell].name for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(plain(metric, 60))
    _ticks(axes.xaxis)
    return figure


@_styled
def front(points: pd.DataFrame, looks: Mapping[str, Style], metrics: tuple[str, str]) -> Figure:
    """Two objectives of every confirmed point, with the 95 % intervals of both.

    Args:
        points: cell, x, x_low, x_high, y, y_low, y_high.
    """
    figure, axes = _axes(5.2, 3.4)
    for row in points.to_dict("records"):
        style, x, y = looks[row["cell"]], row["x"], row["y"]
        axes.plot([row["x_low"], row["x_high"]], [y, y], color=style.colour, lw=1)
        axes.plot([x, x], [row["y_low"], row["y_high"]], color=style.colour, lw=1)
        axes.plot([x], [y], marker=style.marker, color=style.colour, ms=7, mec=PAPER, mew=0.8)
    axes.set(xlabel=plain(metrics[0], 50), ylabel=plain(metrics[1], 40))
    axes.grid()
    _ticks(axes.xaxis)
    _ticks(axes.yaxis)
    return figure


@_styled
def forest(found: Sequence[Verdict]) -> Figure:
    """One strip per claim, each with a scale of its own: the effect, its interval, and the claimed region shaded."""
    shown = [v for v in found if math.isfinite(v.effect)]
    figure = Figure(figsize=(_WIDE, 0.2 + 0.85 * max(1, len(shown))), layout="constrained")
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
    axes.axvspan(max(floor, left), min(ceiling, right), color=_COLOURS[2], alpha=0.13, lw=0)
    for bound in bounds:
        axes.axvline(bound, color=FAINT, lw=0.8, ls=(0, (3, 2)))
    axes.plot([low, high], [0, 0], color=INK, lw=1.6)
    marker = {"holds": "o", "fails": "X"}.get(verdict.verdict, "D")
    axes.plot([verdict.effect], [0], marker=marker, ms=7, color=INK, mfc=PAPER if marker == "D" else INK)
    axes.set(xlim=(left, right), ylim=(-1, 1), yticks=[], xlabel=plain(verdict.claim.effect(), 70))
    axes.set_title(plain(f"{verdict.claim.name}: {verdict.verdict}", 76), color=INK)
    axes.spines["left"].set_visible(False)
    _ticks(axes.xaxis)

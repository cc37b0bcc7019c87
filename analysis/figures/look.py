"""What all figures share: colours, markers, axes, and the way to SVG and PNG.

A cell has the same colour, marker and dashes in every figure, so it can be told apart in grey, too; where cells have
several factors, the colour is that of the level of one factor. Colours: Okabe and Ito, 2008, Color Universal Design,
without its yellow and black, which vanish on a white or a dark page. Shades are those of viridis (van der Walt and
Smith, 2015), whose lightness rises with the value.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.wording import number, plain

# Stand-ins that a page replaces by its own colours, so that figures follow its light and dark themes.
INK, FAINT, RULE, PAPER = "#101112", "#707172", "#c0c1c2", "#fefdfc"
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    "#0072b2": "var(--blue)",
}
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c8c")
SHADES = "viridis"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")  # 7 colours x 8 markers: 56 cells that differ
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
MANY = 2000  # marks: above, they become an image
WIDTH, WIDE = 4.6, 5.4  # inches

# The end of a metric's name may say its unit.
_UNITS = {"_s": "s", "_ms": "ms", "_bytes": "bytes", "_steps": "steps", "_hours": "hours"}

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
    "legend.frameon": False,
    "legend.fontsize": 8,
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


def styles(
    names: Mapping[str, str], levels: Mapping[str, Sequence[str]] | None = None, best: Sequence[str] = ()
) -> dict[str, Style]:
    """One style per cell.

    Args:
        names: what each cell is called.
        levels: of each cell, its level of the factor that gives the colour, then those that give marker and dashes.
        best: where there are more levels than colours, every cell has a look of its own; these cells choose first.
    """
    keys = _by_level(names, levels) if levels else {}
    if not keys:
        keys = {cell: (i, i) for i, cell in enumerate(dict.fromkeys([*best, *names]))}
    return {
        cell: Style(name, COLOURS[keys[cell][0] % 7], MARKERS[keys[cell][1] % 8], _DASHES[keys[cell][1] % 4])
        for cell, name in _short(names).items()
    }


def _short(names: Mapping[str, str], width: int = 30) -> dict[str, str]:
    """At most so many characters of each; where that makes some alike, of the levels without the names of factors."""
    short = {cell: plain(name, width) for cell, name in names.items()}
    if len({*short.values()}) < len({*names.values()}):
        levels = ([part.rpartition(" ")[2] for part in name.split(" · ")] for name in names.values())
        short = {cell: plain(" · ".join(each), width) for cell, each in zip(names, levels, strict=True)}
    return short


def _by_level(names: Mapping[str, str], levels: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Of each cell the numbers of its colour and of its shape; nothing if they do not suffice."""
    hues = _ranks(levels[cell][0] for cell in names)
    shapes = _ranks(tuple(levels[cell][1:]) for cell in names)
    single = len(shapes) == 1  # then the colour has a shape of its own, to be told apart in grey
    if len(hues) > (len(COLOURS) * len(MARKERS) if single else len(COLOURS)) or len(shapes) > len(MARKERS):
        return {}
    hue = {cell: hues[levels[cell][0]] for cell in names}
    return {cell: (hue[cell], hue[cell] if single else shapes[tuple(levels[cell][1:])]) for cell in names}


def _ranks(values: Any) -> dict[Any, int]:
    return {value: i for i, value in enumerate(dict.fromkeys(values))}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with settings():
            return draw(*args, **kwargs)

    return wrapped


@contextmanager
def settings() -> Iterator[None]:
    with rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the font
        yield


def svg(figure: Figure, name: str, label: str = "") -> str:
    """The figure as an SVG element: no prolog, ids of its own, and the same bytes every time.

    Args:
        name: makes the ids unique within a page.
        label: what it shows, for those who cannot see it.
    """
    text = _svg(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub("|".join(_VARIABLES), lambda match: _VARIABLES[match[0]], text)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    spoken = f'role="img" aria-label="{escape(plain(label))}"' if label else 'aria-hidden="true"'
    box = re.search(r'viewBox="[\d. ]*"', text)
    assert box, "matplotlib writes a viewBox"
    return f'<svg {box[0]} width="{width}" height="{height}" {spoken}>' + text[text.index(">") + 1 :]


def _svg(figure: Figure, **look: Any) -> str:
    buffer = io.StringIO()
    with settings():
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}, **look
        )
    return re.sub(r"\s*<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)


def save(figure: Figure, path: Path) -> None:
    """Write the figure on white paper, as SVG or PNG by the end of its name; the same bytes every time."""
    if path.suffix == ".svg":
        path.write_text(_svg(figure, facecolor="white"), encoding="utf-8")
        return
    with settings():
        figure.savefig(path, dpi=200, facecolor="white", metadata={"Software": None})


def label(name: str, width: int = 40) -> str:
    """The label of an axis: the name, with its unit if it ends in one (``time_s`` is ``time (s)``)."""
    unit = next((end for end in _UNITS if name.endswith(end) and name != end), "")
    return plain(name, width) if not unit else f"{plain(name.removesuffix(unit), width)} ({_UNITS[unit]})"


def sheet(width: float = WIDTH, height: float = 2.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def ticks(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def log_x(axes: Axes) -> None:
    """A logarithmic axis, unless it is so short that a linear one says the same with better ticks."""
    low, high = axes.dataLim.intervalx
    if high < 2 * low:
        ticks(axes.xaxis)
        return
    axes.set_xscale("log")
    if high < 30 * low:  # hardly a decade has hardly a power of ten
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    plain_log(axes.xaxis)


def plain_log(axis: Any) -> None:
    """Numbers instead of powers, which would be formulas."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


def bare(axes: Axes) -> None:
    """Rows of names on the left need neither a line nor ticks."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


@styled
def swatch(style: Style) -> Figure:
    """The line and marker of a cell, for legends and tables."""
    figure = Figure(figsize=(0.34, 0.16))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1, 2], [0, 0, 0], color=style.colour, ls=style.dash, lw=1.4, marker=style.marker, markevery=[1], ms=6)
    axes.set_axis_off()
    return figure

"""The panels that the figures of the capacity library are made of: confirm replicates, as means with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis import stats
from analysis.figures.look import COLOURS, MARKERS
from analysis.frames import Run, beside
from analysis.replicates import replicates, values


def seeds(run: Run, metric: str, **where: str) -> pd.DataFrame:
    """One row per confirm replicate: ``value``, and one column per factor, of which ``where`` picks levels.

    Dots in the names of factors are ``__`` in ``where``.
    """
    done = replicates(run)[["trial", "cell", "seed"]]
    done = beside(done.assign(value=done["trial"].map(values(run, metric))), run.cells, "factor", on="cell")
    for factor, level in where.items():
        done = done.loc[done[factor.replace("__", ".")] == level]
    assert len(done), f"no replicate of {where} in {run.path}"
    return done


def means(table: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple[str, ...], float, float, float]]:
    """The levels, the mean and its interval, of each combination of levels in the order of the sweep."""
    found = []
    for levels, rows in table.groupby(list(by), sort=False):
        each = stats.mean(rows.groupby("seed")["value"].mean())  # a seed counts once, whatever is averaged over
        found.append((levels, each.value, *each.interval()))
    return found


def dots(ax: Axes, table: pd.DataFrame, by: Sequence[str], names: Mapping[str, str] | None = None) -> None:
    """One line per combination of levels."""
    rows, known = means(table, by), names or {}
    for place, (_, value, low, high) in enumerate(rows):
        ax.plot([low, high], [place, place], color=COLOURS[0], lw=1.4)
        ax.plot(value, place, MARKERS[0], color=COLOURS[0], ms=4)
    _lines(
        ax, [", ".join(known.get(level, level) for level in levels if known.get(level, level)) for levels, *_ in rows]
    )


def beside_each_other(ax: Axes, table: pd.DataFrame, by: str, group: str, names: Mapping[str, str]) -> None:
    """One line per level of ``by``, and on it a mark for each level of ``group``."""
    levels, groups = list(dict.fromkeys(table[by])), list(dict.fromkeys(table[group]))
    for number, one in enumerate(groups):
        shift = (number - (len(groups) - 1) / 2) * 0.22
        rows = means(table[table[group] == one], [by])
        places = [levels.index(row[0][0]) + shift for row in rows]
        value, low, high = np.array([row[1:] for row in rows]).T
        ax.hlines(places, low, high, color=COLOURS[number], lw=1.2)
        ax.plot(value, places, MARKERS[number], color=COLOURS[number], ms=3.5, label=names.get(one, one))
    _lines(ax, levels)
    ax.legend()


def _lines(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def curves(
    ax: Axes, table: pd.DataFrame, along: str, by: str = "", names: Mapping[str, str] | None = None, *, log: bool = True
) -> None:
    """Along a factor of numbers, one curve per level of ``by``."""
    parts = table.groupby(by, sort=False) if by else [("", table)]
    for number, (level, rows) in enumerate(parts):
        found = sorted((float(levels[0]), *rest) for levels, *rest in means(rows, [along]))
        curve(ax, np.array(found).T, number, (names or {}).get(str(level), str(level)))
    x = sorted({float(level) for level in table[along]})
    if log:
        logarithmic(ax)
    if len(x) <= 8:
        ax.set_xticks(x, _apart(x) if log else [f"{level:g}" for level in x])
        ax.set_xticks([], minor=True)
    ax.grid(axis="y")
    if by:
        ax.legend()


def logarithmic(ax: Axes, along: Literal["x", "y"] = "x") -> None:
    """With powers of ten as numbers."""
    ax.set(**{f"{along}scale": "log"})
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _apart(levels: Sequence[float]) -> list[str]:
    """What they are called, but for those that are too near to the one before."""
    names, last = [], 0.0
    for level in levels:
        names.append(f"{level:g}" if level >= 1.3 * last else "")
        last = level if names[-1] else last
    return names


def histories(ax: Axes, run: Run, metric: str, by: str, names: Mapping[str, str] | None = None, **where: str) -> None:
    """Along the steps of a trial."""
    trials = seeds(run, metric, **where).set_index("trial")
    reports = run.reports.loc[run.reports["metric"] == metric, ["trial", "step", "value"]]
    known = reports.join(trials[[by, "seed"]], on="trial", how="inner")
    for number, (level, rows) in enumerate(known.groupby(by, sort=False)):
        found = [(float(levels[0]), *rest) for levels, *rest in means(rows.sort_values("step"), ["step"])]
        curve(ax, np.array(found).T, number, (names or {}).get(str(level), str(level)), bare=True)
    ax.set_xlabel("step")
    ax.grid(axis="y")
    ax.legend()


def curve(ax: Axes, points: Any, number: int, name: str, *, bare: bool = False) -> None:
    """``points`` are x, the mean, and the ends of its interval."""
    x, value, low, high = points
    colour = COLOURS[number % len(COLOURS)]
    ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
    ax.plot(x, value, "-" if bare else f"{MARKERS[number % len(MARKERS)]}-", color=colour, ms=3.5, lw=1.3, label=name)


def changes(ax: Axes, table: pd.DataFrame, factors: Mapping[str, str]) -> None:
    """What the second level of each factor changes, over all levels of the others."""
    for place, factor in enumerate(factors):
        low, high = dict.fromkeys(table[factor])
        sides = [table[table[factor] == level].groupby("seed")["value"].mean() for level in (high, low)]
        found = stats.mean(sides[0] - sides[1])
        ax.plot(found.interval(), [place, place], color=COLOURS[0], lw=1.4)
        ax.plot(found.value, place, MARKERS[0], color=COLOURS[0], ms=4)
    ax.axvline(0, color="#8c8c8c", lw=0.8)
    _lines(ax, list(factors.values()))

"""What the plates of a report share: the run, its best cells, and how each cell looks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from analysis import figures
from analysis.answers import Row
from analysis.claims import number
from analysis.frames import Run
from analysis.replicates import Objective, answer_metric
from analysis.verdicts import Verdict
from analysis.wording import DASH, count, plain

TOP = 12  # cells that a figure with curves or clouds can show


@dataclass(frozen=True)
class Panel:
    """One drawing. ``name`` is unique in a report; ``label`` says what it shows."""

    name: str
    label: str
    figure: Figure

    @property
    def broad(self) -> bool:
        """Whether it is too wide to be read when a phone shrinks it to the page."""
        return self.figure.get_size_inches()[0] > figures.WIDE

    @cached_property
    def svg(self) -> str:
        return figures.svg(self.figure, self.name, self.label)


@dataclass(frozen=True)
class Plate:
    """One numbered figure of one or more panels.

    Attributes:
        legend: cell -> name, of the cells that it shows, if it needs a legend beside it.
        key: the same for other things than cells: swatch, name.
    """

    title: str
    caption: str
    panels: tuple[Panel, ...]
    legend: Mapping[str, str] | None = None
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Scene:
    """``top``: the best cells, as many as a figure can show, in the order of the sweep."""

    run: Run
    table: list[Row]
    judged: list[Verdict]
    target: Objective | None
    looks: Mapping[str, figures.Style]
    ranked: list[str]  # cells, the best first

    @cached_property
    def top(self) -> list[str]:
        best = set(self.ranked[:TOP])
        return [cell for cell in self.looks if cell in best]

    @cached_property
    def names(self) -> dict[str, str]:
        return {row.cell: plain(row.name, 60) for row in self.table}

    @cached_property
    def factors(self) -> list[str]:
        """Those that vary, that of the colour first."""
        return coloured(self.run)

    def legend(self, cells: Iterable[str] | None = None) -> dict[str, str]:
        return {cell: self.names[cell] for cell in (self.top if cells is None else cells)}

    def said(self, shown: int, caption: str) -> str:
        """The caption, with how many cells were left out."""
        total = len(self.looks)
        return caption if shown >= total else f"{caption} Only the {count(shown, 'best cell')} of {total} are shown."

    def is_log(self, name: str) -> bool:
        space = (self.run.lock.get("nuisance") or {}).get(name)
        return isinstance(space, Mapping) and bool(space.get("log"))


def scene(run: Run, table: list[Row], judged: list[Verdict]) -> Scene:
    target = answer_metric(run)
    cells = run.cells.fillna(DASH)
    order = coloured(run)
    levels = {
        str(cell): [str(row[f]) for f in order] or ["the only cell"] for cell, row in cells.to_dict("index").items()
    }
    ranked = _ranked(table, target)
    looks = figures.styles({row.cell: row.name for row in table}, levels, ranked)
    return Scene(run, table, judged, target, looks, ranked)


def _ranked(table: list[Row], target: Objective | None) -> list[str]:
    def badness(row: Row) -> float:
        value = row.values[target.metric].value if target else math.nan
        return math.inf if math.isnan(value) else -value if target and target.maximize else value

    return list(dict.fromkeys(row.cell for row in sorted(table, key=badness)))


def coloured(run: Run) -> list[str]:
    """The factors that vary; first the one whose levels are told apart by colour: names rather than numbers."""
    varying = [str(f) for f in run.cells if len(set(run.cells[f].fillna(DASH))) > 1]
    return sorted(varying, key=lambda factor: numeric(run, factor))


def numeric(run: Run, factor: str) -> bool:
    return all(number(level) is not None for level in run.cells[factor].dropna())

"""The figures of a report: which ones a run deserves, the frames that they are drawn from, and their captions."""

from __future__ import annotations

from analysis import figures
from analysis.answers import Row
from analysis.frames import Run
from analysis.plates import cells, running, search
from analysis.plates.scene import Panel, Plate, Scene, scene
from analysis.verdicts import Verdict

__all__ = ["Panel", "Plate", "plates", "swatches"]

_SWATCHES = 60  # rows that get one; beyond, no figure shows the cell


def swatches(run: Run, table: list[Row]) -> dict[str, str]:
    looks = list(scene(run, table, []).looks.items())[:_SWATCHES]
    return {cell: figures.svg(figures.swatch(style), f"swatch{i}") for i, (cell, style) in enumerate(looks)}


def plates(run: Run, table: list[Row], judged: list[Verdict]) -> list[Plate]:
    """In the order of the page; a plate without panels is left out."""
    s: Scene = scene(run, table, judged)
    found = [
        cells.answer(s),
        cells.claims(s),
        *cells.responses(s),
        *cells.phases(s),
        cells.curves(s),
        cells.calibration(s),
        search.nuisance(s),
        search.contours(s),
        search.parallel(s),
        search.importance(s),
        running.rungs(s),
        running.utilisation(s),
    ]
    return [plate for plate in found if plate.panels]

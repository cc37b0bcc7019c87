"""The figures of a report: which ones a run deserves, the frames that they are drawn from, and their captions."""

from __future__ import annotations

from analysis import figures
from analysis.answers import Row
from analysis.frames import Run
from analysis.plates import cells, running, search
from analysis.plates.scene import Panel, Plate, Scene, scene
from analysis.verdicts import Verdict

__all__ = ["Panel", "Plate", "plates", "swatches"]

_SWATCHES = 60  # of the best cells; no figure shows others


def swatches(run: Run, table: list[Row]) -> dict[str, str]:
    found = scene(run, table, [])
    shown = set(found.ranked[:_SWATCHES])
    looks = [(cell, style) for cell, style in found.looks.items() if cell in shown]
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
        search.budget(s),
        running.rungs(s),
        running.utilisation(s),
    ]
    return [plate for plate in found if plate.panels]

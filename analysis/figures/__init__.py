"""Pure functions from frames to figures; ``svg`` and ``save`` bring a figure to a page or a file.

All of them work in a notebook. A cell looks the same in every figure: see ``styles``.
"""

from analysis.figures.answers import answer, front, learning_curves
from analysis.figures.attainment import attainment
from analysis.figures.budget import budget
from analysis.figures.evidence import calibration, forest, importance
from analysis.figures.factors import phase, response
from analysis.figures.look import WIDE, Style, label, save, styles, svg, swatch
from analysis.figures.running import rungs, utilisation
from analysis.figures.tuning import contours, nuisance, parallel

__all__ = [
    "WIDE",
    "Style",
    "answer",
    "attainment",
    "budget",
    "calibration",
    "contours",
    "forest",
    "front",
    "importance",
    "label",
    "learning_curves",
    "nuisance",
    "parallel",
    "phase",
    "response",
    "rungs",
    "save",
    "styles",
    "svg",
    "swatch",
    "utilisation",
]

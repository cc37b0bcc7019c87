"""What regularisers do where examples are few."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from analysis.frames import Run
from docs.capacity.panels import beside_each_other, seeds

_NOISE = {"0.0": "right labels", "0.36": "36 % wrong"}
_SHOWN = {"accuracy/test": "accuracy on test examples", "calibration_error/test": "calibration error"}


def draw(load: Callable[[str], Run]) -> Figure:
    run = load("regularisers")
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (metric, name) in zip(axes, _SHOWN.items(), strict=True):
        beside_each_other(ax, seeds(run, metric), "regulariser", "split.label_noise", _NOISE)
        ax.set_title(name)
    return figure

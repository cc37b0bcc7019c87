"""Networks that learn task after task."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from analysis.frames import Run
from docs.capacity.panels import dots, histories, seeds


def draw(load: Callable[[str], Run]) -> Figure:
    run = load("plasticity")
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplot_mosaic([["online", "drop"], ["online", "dead"]])
    histories(axes["online"], run, "accuracy/online", "remedy")
    axes["online"].set(title="online accuracy over the last tasks", xlabel="tasks")
    dots(axes["drop"], seeds(run, "drop"), ["remedy"])
    axes["drop"].set_title("drop of online accuracy")
    dots(axes["dead"], seeds(run, "dead_units"), ["remedy"])
    axes["dead"].set_title("share of units that are dead at the end")
    return figure

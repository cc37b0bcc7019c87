"""GradInit: where training begins."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from analysis.frames import Run
from docs.capacity.panels import beside_each_other, curves, seeds

_SCALES = {"0.5": "half the scale", "1.0": "right", "2.0": "twice"}
_TIMES = {"0.25": "¼ of the scale", "0.5": "½", "1.0": "right", "2.0": "twice", "4.0": "four times"}


def draw(load: Callable[[str], Run]) -> Figure:
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2)
    for ax, name, optimizer in zip(axes[0], ("gradinit", "gradinit-adam"), ("SGD", "Adam"), strict=True):
        beside_each_other(ax, seeds(load(name), "accuracy/test"), "initialisation", "init_scale", _SCALES)
        ax.set_title(f"accuracy on test examples, {optimizer}, tuned rate")
    rates = load("gradinit-rates")
    for ax, level in zip(axes[1], ("as drawn", "gradinit"), strict=True):
        curves(ax, seeds(rates, "accuracy/test", initialisation=level), "optimizer.lr", "init_scale", _TIMES)
        ax.set(title=f"accuracy on test examples by learning rate: {level}", xlabel="learning rate", ylim=(0, 1))
    return figure

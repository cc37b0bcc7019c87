"""How many samples networks fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.look import COLOURS
from analysis.frames import Run
from docs.capacity.panels import changes, dots, means, seeds


def draw(load: Callable[[str], Run]) -> Figure:
    figure = Figure(figsize=(10, 8.4), layout="constrained")
    axes = figure.subplot_mosaic([["shape", "kind"], ["rate", "depth"], ["by", "gap"], ["linear", "end"]])
    architecture, activation = load("emc-architecture"), load("emc-activation")
    _architecture(axes["kind"], architecture)
    _settled(axes["end"], {"architecture": architecture, "activation": activation})
    dots(axes["shape"], seeds(activation, "emc"), ["model.activation"])
    axes["shape"].set_title("random labels that are fitted, by activation")
    _optimizer(axes["rate"], load("emc-optimizer"))
    dots(axes["depth"], seeds(load("emc-width-depth"), "emc_per_parameter"), ["model"])
    axes["depth"].set_title("random labels per parameter, by shape of a perceptron")
    _regularisation(axes["by"], load("emc-regularisation"))
    _gap(axes["gap"], load("emc-generalisation"))
    _linear(axes["linear"], load("emc-linear"))
    return figure


def _architecture(ax: Axes, run: Run) -> None:
    names = {"0": "true labels", "1": "random labels", "noise": "noise"}
    dots(ax, seeds(run, "emc_per_parameter"), ["model", "data", "random_labels"], names)
    ax.set_title("samples per parameter that are fitted, by architecture")


def _optimizer(ax: Axes, run: Run) -> None:
    names = {"32": "batches", "4096": "full batches", "0": "500 passes", "2000": "2000 steps"}
    dots(ax, seeds(run, "emc"), ["optimizer", "batch_size", "updates"], names)
    ax.set_title("random labels that are fitted, by optimizer")


def _regularisation(ax: Axes, run: Run) -> None:
    factors = {
        "optimizer.weight_decay": "weight decay 0 → 0.01",
        "model.dropout": "dropout 0 → 0.2",
        "batch_size": "batch 32 → 256",
        "optimizer.lr": "rate 0.003 → 0.015",
        "init_scale": "first weights ½ → 2",
    }
    changes(ax, seeds(run, "emc"), factors)
    ax.set_title("change of the random labels that are fitted")


def _gap(ax: Axes, run: Run) -> None:
    gap, right = (means(seeds(run, metric), ["model"]) for metric in ("capacity_gap", "accuracy/test"))
    for (levels, x, *across), (_, y, *along) in zip(gap, right, strict=True):
        ax.plot(across, [y, y], color=COLOURS[0], lw=0.8)
        ax.plot([x, x], along, color=COLOURS[0], lw=0.8)
        ax.annotate(levels[0], (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
    ax.set(
        xlabel="true labels that are fitted, less random ones", title="accuracy on test examples, by gap of capacities"
    )


def _linear(ax: Axes, run: Run) -> None:
    dots(ax, seeds(run, "emc"), ["loss.name"], {"cross_entropy": "classification", "squared_error": "regression"})
    for theory in (16, 32):
        ax.axvline(theory, color=COLOURS[4], ls=":", lw=1.2)
    ax.set_title("16 linear parameters fit; dotted, theory")


def _settled(ax: Axes, runs: dict[str, Run]) -> None:
    """Where training stood at the last size that it did not fit."""
    for number, (name, run) in enumerate(runs.items()):
        ends = np.sort(seeds(run, "gradient_ratio")["value"].to_numpy(dtype=float))
        ax.step(ends, np.arange(1, len(ends) + 1) / len(ends), where="post", color=COLOURS[number], label=name)
    ax.axvline(1e-3, color=COLOURS[4], ls=":", lw=1.2)
    ax.set_xscale("log")
    ax.set_title("share of trials whose failure ended with a gradient below that of the start times")
    ax.legend()

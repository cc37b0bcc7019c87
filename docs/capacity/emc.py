"""How many samples networks fit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.look import COLOURS
from analysis.frames import Run
from docs.capacity.panels import changes, dots, logarithmic, means, seeds


def draw(load: Callable[[str], Run]) -> Figure:
    """Of the sweeps that were run."""
    runs: dict[str, Run] = {}
    for sweep in PANELS:
        with suppress(LookupError):
            runs[sweep] = load(sweep)
    rows = (len(runs) + 2) // 2
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, 2).ravel()
    for ax, (sweep, run) in zip(axes, runs.items(), strict=False):
        PANELS[sweep](ax, run)
    _settled(axes[len(runs)], runs)
    for ax in axes[len(runs) + 1 :]:
        ax.set_axis_off()
    return figure


def _activation(ax: Axes, run: Run) -> None:
    dots(ax, seeds(run, "emc"), ["model.activation"])
    ax.set_title("random labels that are fitted, by activation")


def _depth(ax: Axes, run: Run) -> None:
    dots(ax, seeds(run, "emc_per_parameter"), ["model"])
    ax.set_title("random labels per parameter, by shape of a perceptron")


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
    table = seeds(runs["emc-activation"], "gradient_ratio")
    for number, (name, rows) in enumerate(table.groupby("model.activation", sort=False)):
        ends = np.sort(rows["value"].to_numpy(dtype=float))
        ax.step(ends, np.arange(1, len(ends) + 1) / len(ends), where="post", color=COLOURS[number % 7], label=name)
    ax.axvline(1e-3, color=COLOURS[4], ls=":", lw=1.2)
    logarithmic(ax)
    ax.set_title("share of seeds whose last failure ended below this gradient")
    ax.set_xlabel("gradient over that at the start; dotted, what counts as settled")
    ax.legend()


PANELS: dict[str, Callable[[Axes, Run], None]] = {
    "emc-activation": _activation,
    "emc-architecture": _architecture,
    "emc-optimizer": _optimizer,
    "emc-width-depth": _depth,
    "emc-regularisation": _regularisation,
    "emc-generalisation": _gap,
    "emc-linear": _linear,
}

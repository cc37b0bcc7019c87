"""Memorising, grokking, the edge of stability, opposing signals, starvation, full batches."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.look import COLOURS
from analysis.frames import Run
from docs.capacity.panels import curves, dots, histories, logarithmic, seeds


def draw(load: Callable[[str], Run]) -> Figure:
    figure = Figure(figsize=(10, 10.4), layout="constrained")
    (labels, late), (edge, sharp), (signals, benign), (starved, batches) = figure.subplots(4, 2)
    _labels(labels, load("random-labels"))
    _grokking(late, load("grokking"))
    _edge(edge, sharp, load("edge-of-stability"))
    dots(
        signals,
        seeds(load("opposing-signals"), "opposition"),
        ["data", "optimizer.lr"],
        {"0.05": "rate 0.05", "0.2": "rate 0.2"},
    )
    signals.set_title("correlation of the losses of outliers of two classes")
    dots(benign, seeds(load("benign-overfitting"), "accuracy/test"), ["data"])
    benign.set_title("accuracy on test points, all wrong labels memorised")
    _starvation(starved, load("gradient-starvation"))
    names = {"16": "batches of 16", "65536": "full batches", "none": "", "0.0": "right labels", "0.1": "10 % wrong"}
    dots(
        batches,
        seeds(load("full-batch"), "accuracy/test"),
        ["split.label_noise", "batch_size", "perturbation.name"],
        names,
    )
    batches.set_title("accuracy on test examples, small and full batches")
    return figure


def _labels(ax: Axes, run: Run) -> None:
    widths = {level: f"width {level}" for level in ("16", "64", "256")}
    curves(ax, seeds(run, "epochs_to_fit", data="digits"), "split.label_noise", "model.width", widths, log=False)
    ax.set(title="epochs until all labels are fitted (300: never)", xlabel="share of wrong labels")


def _grokking(ax: Axes, run: Run) -> None:
    shares = {"0.125": "70 % of all sums", "0.25": "60 %", "0.375": "50 %"}
    table = seeds(run, "epochs_to_generalise")
    curves(ax, table, "optimizer.weight_decay", "split.validation_fraction", shares, log=False)
    ax.set(title="epochs until new sums are right (2000: never)", xlabel="weight decay")
    logarithmic(ax, "y")


def _edge(ax: Axes, sharp: Axes, run: Run) -> None:
    rates = {level: f"rate {level}" for level in ("0.01", "0.05", "0.1", "0.2")}
    histories(ax, run, "sharpness_ratio", "optimizer.lr", rates, model__activation="tanh")
    ax.axhline(1, color=COLOURS[6], lw=0.8, ls=":")
    ax.set_title("sharpness over that of the edge of stability, tanh")
    histories(sharp, run, "loss_increases", "optimizer.lr", rates, model__activation="tanh")
    sharp.set_title("steps so far in which the loss rose")


def _starvation(ax: Axes, run: Run) -> None:
    names = {"0.0": "no penalty", "1.0": "spectral decoupling"}
    table = seeds(run, "accuracy/test", init_scale="0.1")
    curves(ax, table, "data.margin", "regulariser.strength", names, log=False)
    ax.set(title="accuracy where the harder coordinate is shuffled", xlabel="margin of the easy one")

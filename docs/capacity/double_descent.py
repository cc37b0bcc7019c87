"""Double descent of random features by their number, by steps and by examples."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from analysis.frames import Run
from docs.capacity.panels import curves, seeds


def draw(load: Callable[[str], Run]) -> Figure:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    features, steps, samples = figure.subplots(1, 3, sharey=True)
    ridges = {"0.0": "no ridge", "0.001": "0.001", "0.1": "0.1"}
    curves(features, seeds(load("double-descent-features"), "error/test"), "features_per_example", "ridge", ridges)
    features.set(title="test error by random features per example", xlabel="features per example")
    wide = {level: f"{float(level):g} features per example" for level in ("0.5", "1.0", "4.0")}
    table = seeds(load("double-descent-steps"), "error/test")
    curves(steps, table, "decades", "features_per_example", wide, log=False)
    steps.set(title="test error by steps of gradient descent", xlabel="decades of steps")
    curves(samples, seeds(load("double-descent-samples"), "error/test"), "num_train")
    samples.set(title="test error by examples, 300 features", xlabel="examples")
    return figure

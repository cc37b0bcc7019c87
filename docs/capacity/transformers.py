"""Small transformers at large learning rates."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from analysis.frames import Run
from docs.capacity.panels import curves, seeds

_SHOWN = {"loss/test": "test loss", "attention_logit": "largest logit of attention, decades"}


def draw(load: Callable[[str], Run]) -> Figure:
    run = load("transformer-rates")
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for ax, (metric, name) in zip(figure.subplots(1, 2), _SHOWN.items(), strict=True):
        curves(ax, _named(seeds(run, metric)), "optimizer.lr", "remedy")
        ax.set(title=f"{name} by learning rate", xlabel="learning rate")
    return figure


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """With one name for what is done beside the plain recipe with warm-up."""
    remedy = pd.Series("warm-up", index=table.index)
    remedy[table["schedule.warmup_fraction"] == "0.0"] = "no warm-up"
    remedy[table["model.qk_norm"] == "true"] = "normalised queries and keys"
    remedy[table["regulariser.strength"] == "0.0001"] = "z-loss"
    remedy[table["regulariser.strength"] == "0.01"] = "z-loss, a hundredfold"
    return table.assign(remedy=remedy)

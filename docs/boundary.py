"""Draws boundary.svg from runs of the three sweeps on decision boundaries.

python docs/boundary.py RUNS, where RUNS holds boundary-width, boundary-architectures and boundary-optimizers.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from analysis import load
from analysis.answers import Row, rows
from analysis.frames import Run
from analysis.pictures import albums

NOISY, CLEAN = "#d55e00", "#0072b2"
NAMES = ["mlp", "cnn", "mixer", "vit"]
CURVES = {"error/test": "test error", "reproducibility": "reproducibility", "fragmentation": "fragmentation"}


def main(runs: str, out: str) -> None:
    width, architectures, optimizers = (load(f"{runs}/boundary-{n}") for n in ("width", "architectures", "optimizers"))
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "boundary", "font.size": 8, "font.family": "sans-serif"}
    figure = Figure(figsize=(9, 7.2), layout="constrained")
    axes = figure.subplot_mosaic(
        [["error/test", "reproducibility", "fragmentation"], ["8", "32", "512"], ["m", "m", "o"]]
    )
    for metric, name in CURVES.items():
        curves(axes[metric], rows(width), metric, name)
    axes["error/test"].legend(frameon=False)
    pictures(axes, width)
    matrix(axes["m"], rows(architectures))
    dots(axes["o"], rows(optimizers))
    figure.savefig(out, metadata={"Date": None, "Creator": None})


def curves(ax: Axes, table: list[Row], metric: str, name: str) -> None:
    for noise, colour, text in (("0.0", CLEAN, "right labels"), ("0.2", NOISY, "a fifth wrong")):
        own = [row for row in table if row.levels["split.label_noise"] == noise]
        x = [int(row.levels["model.width"]) for row in own]
        low, high = zip(*(row.values[metric].interval() for row in own), strict=True)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(x, [row.values[metric].value for row in own], "o-", color=colour, ms=3, label=text)
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [str(n) for n in x])
    ax.set_xlabel("width")
    ax.set_title(name, loc="left")


def pictures(axes: dict[str, Axes], run: Run) -> None:
    """Two networks, one below the other, on three planes each."""
    for picture in albums(run, rows(run)).albums[0].pictures:
        for width in ("8", "32", "512"):
            if picture.caption.startswith(f"width {width} ") and "noise 0.2" in picture.caption:
                data = base64.b64decode(picture.source.rpartition(",")[2])
                axes[width].imshow(imread(io.BytesIO(data), format="png"), interpolation="none")
                axes[width].set_title(f"width {width}, a fifth wrong", loc="left")
                axes[width].axis("off")


def matrix(ax: Axes, table: list[Row]) -> None:
    means = {(row.levels["model"], row.levels["rival"]): row.values["reproducibility"].value for row in table}
    square = np.array([[means[one, other] for other in NAMES] for one in NAMES])
    ax.imshow(square, cmap="viridis", aspect="auto")
    for (i, j), value in np.ndenumerate(square):
        ax.text(j, i, f"{value:.3f}", ha="center", va="center", color="black" if value > square.mean() else "white")
    ax.set_xticks(range(4), NAMES)
    ax.set_yticks(range(4), NAMES)
    ax.set_title("reproducibility of pairs of architectures", loc="left")


def dots(ax: Axes, table: list[Row]) -> None:
    labels = [
        f"{r.levels['model']}, {r.levels['optimizer']}{' + sam' * (r.levels['perturbation'] == 'sam')}" for r in table
    ]
    for place, row in enumerate(table):
        low, high = row.values["reproducibility"].interval()
        ax.plot([low, high], [place, place], color=CLEAN)
        ax.plot(row.values["reproducibility"].value, place, "o", color=CLEAN, ms=4)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set_title("reproducibility by optimizer", loc="left")


if __name__ == "__main__":
    main(sys.argv[1], str(Path(__file__).with_suffix(".svg")))

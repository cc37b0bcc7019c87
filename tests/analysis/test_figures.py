import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from analysis import figures
from analysis.claims import Claim
from analysis.verdicts import Verdict

HOSTILE = "</text><script>alert(1)</script> & \"q\" 's' $\\frac{1}$ --> \n\x00 日本 🙂 " + "x" * 300
CELLS = ["a", "b", "c"]
LOOKS = figures.styles({cell: f"cell {cell}" for cell in CELLS})
CLAIM = Claim(name="n", metric="m", expect="between", low=0.2, high=0.6)
SVG = "{http://www.w3.org/2000/svg}"


def curves(seeds=4, steps=10):
    rows = [(c, s, t, t + s / 9) for c in CELLS for s in range(seeds) for t in range(1, steps + 1)]
    return pd.DataFrame(rows, columns=["cell", "seed", "step", "value"])


def points(n=12, x=None):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"cell": [CELLS[i % 3] for i in range(n)], "x": random.uniform(0.001, 1, n)})
    return frame.assign(y=random.normal(size=n), winner=[i < 3 for i in range(n)], **({"x": x} if x else {}))


def answers():
    return pd.DataFrame({"cell": CELLS * 4, "value": np.arange(12) / 12})


def fronts():
    return pd.DataFrame([{"cell": c, "x": 1, "x_low": 0, "x_high": 2, "y": i, "y_low": -1, "y_high": 5}
                         for i, c in enumerate(CELLS)])  # fmt: skip


def found():
    return [
        Verdict(CLAIM, "holds", "", 0.4, 0.3, 0.5, 0.95, 0.01, 8),
        Verdict(CLAIM, "undecided", "one", 0.4, math.nan, math.nan, 0.95, 1, 1),
        Verdict(CLAIM, "untestable", "none"),
    ]


DRAWN = {
    "curves": lambda: figures.learning_curves(curves(), LOOKS, "m"),
    "thin curves": lambda: figures.learning_curves(curves(seeds=2), LOOKS, "m"),
    "nuisance": lambda: figures.nuisance(points(), LOOKS, "lr", "m", log=True),
    "choices": lambda: figures.nuisance(points(x=["sgd", "adam"] * 6), LOOKS, "optimizer", "m"),
    "answer": lambda: figures.answer(answers(), LOOKS, "m"),
    "front": lambda: figures.front(fronts(), LOOKS, ("m", "n")),
    "forest": lambda: figures.forest(found()),
    "no forest": lambda: figures.forest([]),
    "swatch": lambda: figures.swatch(LOOKS["a"]),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_every_figure_is_small_valid_svg_that_repeats(draw):
    text = figures.svg(draw(), "f", "label")
    assert text == figures.svg(draw(), "f", "label")
    assert ET.fromstring(text.replace("xlink:", "")).tag == "svg"
    assert len(text) < 60_000
    assert "http" not in text


def test_ids_belong_to_their_figure():
    tree = ET.fromstring(figures.svg(DRAWN["answer"](), "mine").replace("xlink:", ""))
    ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
    assert ids
    assert all(name.startswith("mine-") for name in ids)


@pytest.mark.parametrize("name", ["curves", "nuisance", "choices", "answer", "forest"])
def test_hostile_names_are_text(name):
    looks = figures.styles(dict.fromkeys(CELLS, HOSTILE))
    claim = Claim(name=HOSTILE, metric=HOSTILE, expect="between", low=0.2)
    figure = {
        "curves": lambda: figures.learning_curves(curves(), looks, HOSTILE),
        "nuisance": lambda: figures.nuisance(points(), looks, HOSTILE, HOSTILE),
        "choices": lambda: figures.nuisance(points(x=[HOSTILE, "b"] * 6), looks, "x", "m"),
        "answer": lambda: figures.answer(answers(), looks, HOSTILE),
        "forest": lambda: figures.forest([Verdict(claim, "holds", "", 0.4, 0.3, 0.5, 0.95, 0.01, 8)]),
    }[name]()
    tree = ET.fromstring(figures.svg(figure, "f", HOSTILE).replace("xlink:", ""))
    assert not [element for element in tree.iter() if element.tag.endswith("script")]
    assert any(element.text and element.text.startswith("</text><script>") for element in tree.iter())


def test_cells_differ_in_colour_and_in_grey():
    many = figures.styles({str(i): str(i) for i in range(56)})
    assert len({(s.colour, s.marker) for s in many.values()}) == 56
    few = list(many.values())[:7]
    assert len({s.marker for s in few}) == len({s.colour for s in few}) == 7


def test_a_cell_looks_the_same_everywhere():
    for name in ("curves", "nuisance", "answer", "front"):
        text = figures.svg(DRAWN[name](), "f")
        assert all(style.colour.replace("#0072b2", "var(--blue)") in text for style in LOOKS.values())


def test_far_values_lie_at_the_border():
    frame = points(30)
    frame.loc[5, "y"] = 1e9
    low, high = figures.nuisance(frame, LOOKS, "lr", "m").axes[0].get_ylim()
    assert -20 < low < high < 20


def test_thousands_of_points_become_an_image():
    small, large = (figures.svg(figures.nuisance(points(n), LOOKS, "lr", "m"), "f") for n in (300, 6000))
    assert "data:image/png" not in small
    assert "data:image/png" in large
    assert len(large) < 200_000


def test_the_winner_is_marked():
    axes = figures.nuisance(points(), LOOKS, "lr", "m").axes[0]
    sizes = [float(size) for c in axes.collections for size in c.get_sizes() if len(c.get_offsets())]
    assert sorted(set(sizes)) == [14.0, 80.0]


def test_bands_are_the_interval_of_the_mean():
    axes = figures.learning_curves(curves(), LOOKS, "m").axes[0]
    line = axes.lines[0]
    assert line.get_ydata() == pytest.approx(np.arange(1, 11) + 1.5 / 9)
    assert len(axes.collections) == 3

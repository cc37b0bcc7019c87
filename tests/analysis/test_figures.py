import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from analysis import figures
from analysis.claims import Claim
from analysis.figures import running
from analysis.figures.attainment import attainment
from analysis.selection import budgets
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


def fronts(seeds=8):
    random = np.random.default_rng(0)
    rows = [(c, f"{c}{p}", s, p + random.normal(0, 0.1), p**2 + i) for i, c in enumerate(CELLS) for p in range(4)
            for s in range(seeds)]  # fmt: skip
    return pd.DataFrame(rows, columns=["cell", "point", "seed", "x", "y"])


def responses(seeds=8):
    rows = [(c, x, s, x / 9 + s / 50) for c in CELLS for x in (8, 16, 32) for s in range(seeds)]
    return pd.DataFrame(rows, columns=["series", "x", "seed", "value"])


def squares(panels=("",)):
    rows = [(p, str(x), str(y), x * y) for p in panels for x in range(5) for y in range(4) if x != 3 or y != 2]
    return pd.DataFrame(rows, columns=["panel", "x", "y", "value"])


def tuned(n=40):
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"cell": [CELLS[i % 3] for i in range(n)], "x": 10 ** random.uniform(-3, 0, n)})
    frame = frame.assign(y=random.uniform(size=n), winner=[i < 3 for i in range(n)])
    return frame.assign(value=-((np.log10(frame["x"]) + 1) ** 2) - frame["y"], name=["sgd", "adam"] * (n // 2))


def shares():
    rows = [(c, p, m, v, v - 0.1, v + 0.1) for c in ["*", *CELLS] for p, v in (("lr", 0.7), (HOSTILE, 0.2))
            for m in ("fanova", "ped-anova")]  # fmt: skip
    return pd.DataFrame(rows, columns=["cell", "parameter", "method", "value", "low", "high"])


def bins():
    rows = [(c, s, b, b / 5 + 0.1, b / 5 + 0.05 + s / 100) for c in CELLS for s in range(3) for b in range(5)]
    return pd.DataFrame(rows, columns=["cell", "seed", "bin", "confidence", "accuracy"])


def searches(points=16, first=0.0):
    """The best that was seen is one above the best that there is; a single point is worth ``first``."""
    rows = [(c, n, v, v - 0.5, v + 0.5, v + 1) for c in CELLS for n in budgets(points).tolist()
            for v in [first if n == 1 else n / points]]  # fmt: skip
    return pd.DataFrame(rows, columns=["cell", "budget", "value", "low", "high", "naive"])


def stopped(points=9):
    rows = [(c, n, step, n / 10 + step, step == [1, 3, 9][n % 3] and n % 3 < 2) for c in CELLS for n in range(points)
            for step in (1, 3, 9)[: n % 3 + 1]]  # fmt: skip
    return pd.DataFrame(rows, columns=["cell", "number", "step", "value", "prune"])


def lives():
    rows = [("tune", 0.0, 100.0), ("tune", 0.0, 50.0), ("confirm", 100.0, 200.0)]
    return pd.DataFrame(rows, columns=["phase", "began", "ended"])


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
    "front": lambda: figures.front(fronts(), LOOKS, ("m", "n"), (True, False)),
    "front of few seeds": lambda: figures.front(fronts(3), LOOKS, ("m", "n"), (False, True)),
    "response": lambda: figures.response(responses(), LOOKS, "width", "m", log=True),
    "response of few seeds": lambda: figures.response(responses(2), LOOKS, "width", "m"),
    "phase": lambda: figures.phase(squares(), ("width", "depth"), "m"),
    "phases": lambda: figures.phase(squares(("a", "b", "c")), ("width", "depth"), "m", maximize=False),
    "contours": lambda: figures.contours(tuned(), LOOKS, ("lr", "decay"), "m", log=(True, False)),
    "few points": lambda: figures.contours(tuned(6), LOOKS, ("lr", "decay"), "m"),
    "parallel": lambda: figures.parallel(tuned(), ["x", "y", "name"], "m", log=["x"]),
    "importance": lambda: figures.importance(shares(), LOOKS, "*"),
    "budget": lambda: figures.budget(searches(), LOOKS, "m"),
    "large budget": lambda: figures.budget(searches(200), LOOKS, "m"),
    "calibration": lambda: figures.calibration(bins(), LOOKS),
    "rungs": lambda: figures.rungs(stopped(), LOOKS, "m"),
    "utilisation": lambda: figures.utilisation(lives(), 4.0),
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
    assert "mathdefault" not in text  # no tick is a formula
    assert not re.search(r"https?://(?!www.w3.org)", text)


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
    for name in ("curves", "nuisance", "answer", "front", "response", "importance", "calibration", "rungs"):
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


def test_the_colour_is_that_of_the_level_and_alone_it_has_a_shape():
    both = figures.styles({c: c for c in "abcd"}, {"a": "m8", "b": "m9", "c": "v8", "d": "v9"})
    assert both["a"].colour == both["b"].colour != both["c"].colour == both["d"].colour
    assert both["a"].marker == both["c"].marker != both["b"].marker
    alone = figures.styles({c: c for c in "abc"}, {c: [c] for c in "abc"})
    assert len({s.marker for s in alone.values()}) == len({s.dash for s in alone.values()}) == 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [("time_s", "time (s)"), ("peak_bytes", "peak (bytes)"), ("loss/test", "loss/test"), ("_s", "_s")],
)
def test_axes_have_units(name, shown):
    assert figures.label(name) == shown


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_files_repeat(tmp_path, kind, start):
    contents = []
    for i in range(2):
        figures.save(DRAWN["answer"](), tmp_path / f"{i}.{kind}")
        contents.append((tmp_path / f"{i}.{kind}").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(start)
    assert b"var(" not in contents[0]


def test_half_of_the_seeds_attain_the_middle():
    """Three seeds with one point each, at (1, 1), (2, 2) and (3, 3): high x is good, high y is good."""
    points = pd.DataFrame({"seed": [0, 1, 2], "x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    best = attainment(points, (True, True))
    assert best["high"].tolist() == [3, 3, 3]
    assert best["middle"].tolist()[:2] == [2, 2]
    assert best["low"].tolist()[0] == 1
    assert best[["low", "middle"]].iloc[2].isna().all()  # only one seed has an x of 3


def test_attainment_does_not_depend_on_the_signs():
    points = fronts().loc[lambda f: f["cell"] == "a"]
    up = attainment(points, (True, False))
    down = attainment(points.assign(x=-points["x"], y=-points["y"]), (False, True))
    assert down["x"].tolist() == (-up["x"][::-1]).tolist()
    assert down["middle"].tolist() == pytest.approx((-up["middle"][::-1]).tolist(), nan_ok=True)


def test_few_replicates_are_shown():
    few, many = (figures.response(responses(n), LOOKS, "w", "m").axes[0] for n in (2, 8))
    assert sum(len(c.get_offsets()) for c in few.collections if hasattr(c, "get_sizes") and len(c.get_sizes())) == 18
    assert not [c for c in many.collections if hasattr(c, "get_sizes") and len(c.get_sizes())]


def test_the_best_square_is_framed():
    for maximize, place in ((True, (4, 3)), (False, (0, 0))):
        (frame,) = figures.phase(squares(), ("x", "y"), "m", maximize=maximize).axes[0].patches
        assert (int(frame.get_x()), int(frame.get_y())) == place


def test_a_missing_square_stays_empty():
    (mesh,) = figures.phase(squares(), ("x", "y"), "m").axes[0].collections
    assert np.ma.getmaskarray(mesh.get_array()).sum() == 1


def test_stopped_points_have_crosses_and_going_points_are_counted():
    above, below = figures.rungs(stopped(), LOOKS, "m").axes
    crosses = [c for c in above.collections if len(c.get_offsets()) and c.get_linewidths()[0] == 1]
    assert sum(len(c.get_offsets()) for c in crosses) == 18
    assert below.lines[0].get_ydata().tolist() == [27, 18, 9]


def test_utilisation_counts_who_runs():
    whole = running._running(lives(), np.array([0.0, 50.0, 100.0, 200.0]))
    assert whole.tolist() == [2, 1, 1]
    inside = running._running(pd.DataFrame({"began": [10.0], "ended": [15.0]}), np.array([0.0, 20.0]))
    assert inside.tolist() == [0.25]


def test_the_best_that_was_seen_is_drawn_above_the_best_that_there_is():
    for axes in figures.budget(searches(), LOOKS, "m").axes:
        (value, naive) = axes.lines
        assert naive.get_linestyle() == ":"
        assert (naive.get_ydata() - value.get_ydata()).tolist() == pytest.approx([1.0] * 16)
        assert value.get_xdata().tolist() == list(range(1, 17))


def test_an_exploded_first_point_does_not_flatten_the_budget():
    low, high = figures.budget(searches(first=-1e9), LOOKS, "m").axes[0].get_ylim()
    assert low < -0.5
    assert high > 2.0
    assert high - low < 10


def test_with_more_levels_than_colours_the_best_cells_differ():
    names = {f"c{n}": f"c{n}" for n in range(200)}
    levels = {cell: [f"level {n // 2}", str(n % 2)] for n, cell in enumerate(names)}
    best = [f"c{n}" for n in range(199, 143, -1)]
    looks = figures.styles(names, levels, best)
    assert list(looks) == list(names)
    assert len({(looks[cell].colour, looks[cell].marker) for cell in best}) == 56


def test_a_phase_diagram_of_many_levels_names_some_of_them():
    rows = [("", str(x), str(y), x + y) for x in range(60) for y in range(130)]
    axes = figures.phase(pd.DataFrame(rows, columns=["panel", "x", "y", "value"]), ("a", "b"), "m").axes[0]
    for axis, levels in ((axes.xaxis, 60), (axes.yaxis, 130)):
        shown = {text.get_text(): place for text, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)}
        assert 12 <= len(shown) <= 24
        assert all(place == int(name) + 0.5 and int(name) < levels for name, place in shown.items())


def test_long_names_of_cells_stay_apart():
    names = {c: f"false · strength 0.0 · warmup_fraction 0.1 · lr {c}" for c in ("0.03", "0.1")}
    assert [style.name for style in figures.styles(names).values()] == [
        "false · 0.0 · 0.1 · 0.03",
        "false · 0.0 · 0.1 · 0.1",
    ]
    assert [style.name for style in figures.styles({"a": names["0.1"]}).values()] == ["false · strength 0.0 · warmup…"]

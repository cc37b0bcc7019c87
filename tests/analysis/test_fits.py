"""The curves that are drawn along a numeric factor."""

import numpy as np
import pandas as pd
import pytest
from synthetic import lock, noisy, sweep

from analysis import report
from analysis.plates.fits import drawn, fitted, sentence

LEVELS = [1.0, 2.0, 4.0, 8.0, 16.0]


def measured(curve, *, seeds=6, noise=0.01, levels=LEVELS):
    random = np.random.default_rng(0)
    rows = [
        {"series": "s", "x": x, "seed": seed, "value": curve(x) * (1 + random.normal(0, noise))}
        for x in levels
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("curve", "name", "parameters"),
    [
        (lambda x: 2 * x**0.5, "power", {"scale": 2.0, "exponent": 0.5}),
        (lambda x: 5 * x / (3 + x), "saturating", {"top": 5.0, "half": 3.0}),
    ],
)
def test_the_curve_that_made_the_data_is_chosen_and_its_parameters_covered(curve, name, parameters):
    fit, _ = fitted(measured(curve))["s"]
    assert fit.curve == name
    for parameter, truth in parameters.items():
        low, high = fit.parameters[parameter].interval(0.999)
        assert low < truth < high
    line = drawn({"s": (fit, np.array(LEVELS))})
    assert np.allclose(line["y"], [curve(x) for x in line["x"]], rtol=0.05)
    assert "error at a level left out" in sentence("s", fit)


@pytest.mark.parametrize(
    "frame",
    [
        measured(lambda x: x, levels=LEVELS[:3]),
        measured(lambda x: x, seeds=2),
        measured(lambda x: x - 3),
        measured(lambda x: x, levels=[0.0, 1.0, 2.0, 3.0]),
    ],
    ids=["few levels", "few seeds", "not positive", "a level at zero"],
)
def test_nothing_is_fitted_where_a_curve_says_nothing(frame):
    assert fitted(frame) == {}
    assert drawn({}).empty


def test_the_report_says_what_was_fitted(tmp_path):
    document = lock({"model.width": ["8", "16", "32", "64"]})
    sweep(tmp_path, document, noisy(lambda levels: 0.5 * int(levels["model.width"]) ** 0.1), seeds=4)
    page = report.write(tmp_path).read_text(encoding="utf-8")
    assert "Dotted: a power law" in page or "Dotted: a saturating curve" in page

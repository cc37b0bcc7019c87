import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from analysis.claims import Claim, Expect, claims_of, matches, selected
from analysis.records import LedgerError

GOOD = {"name": "n", "metric": "m", "where": {"a": 1}, "against": {"a": 2}, "expect": "greater"}
CORRELATION = {"expect": "correlation_at_least", "metric": "", "metrics": ["a", "b"], "against": None, "low": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expect": "equal"}, "equal needs a margin"),
        ({"expect": "equal", "margin": 0}, "greater than 0"),
        ({"margin": 0.1}, "margin belongs to equal, not to greater"),
        ({"against": None}, "greater needs against, the cells to compare with"),
        ({"against": {"a": 1}}, "where and against are the same cells"),
        ({"expect": "ratio_at_least"}, "ratio_at_least needs a ratio"),
        ({"expect": "between"}, "between needs low, high or both"),
        ({"expect": "between", "low": 2, "high": 1}, "low has to be below high"),
        ({"expect": "between", "low": float("nan")}, "finite number"),
        ({"expect": "increases", "against": None}, "increases needs along, the factor that grows"),
        ({"expect": "decreases", "along": "a"}, "decreases takes no against"),
        ({"expect": "greater", "along": "a"}, "along belongs to increases or decreases or peaks_at, not to greater"),
        ({"expect": "better"}, "'greater', 'less'"),
        ({"metrik": "m"}, "Extra inputs"),
        ({"metric": ""}, "greater needs a metric"),
        ({"metrics": ["a", "b"]}, "metrics belongs to front_dominates or correlation_at_least, not to greater"),
        ({"expect": "front_dominates"}, "takes metrics, a list, instead of metric"),
        ({"expect": "front_dominates", "metric": "", "metrics": ["a"]}, "front_dominates needs two or more metrics"),
        ({"expect": "front_dominates", "metric": "", "metrics": ["a", "a"]}, "a metric is there twice"),
        ({**CORRELATION, "metrics": ["a", "b", "c"]}, "correlation_at_least needs two metrics"),
        ({**CORRELATION, "over": "each"}, "over cells, so it takes no over: each"),
        ({**CORRELATION, "low": None}, "correlation_at_least needs low, the smallest correlation"),
        ({**CORRELATION, "low": 1}, "a correlation is at least -1 and below 1"),
        ({**CORRELATION, "against": {"a": 1}}, "correlation_at_least takes no against"),
        ({"expect": "peaks_at", "against": None, "low": 8}, "peaks_at needs along, the factor that has the peak"),
        ({"expect": "peaks_at", "against": None, "along": "a"}, "peaks_at needs low, high or both"),
        ({"expect": "peaks_at", "against": None, "along": "a", "low": 2, "high": 1}, "low has to be below high"),
        ({"over": "some"}, "'pooled' or 'each'"),
        ({"expect": "equal", "margin": "one/two"}, "valid number"),
        ({"name": ""}, "at least 1 character"),
        ({"where": {"a": {"label": 1}}}, "where"),
    ],
)
def test_bad_claims_say_what_is_wrong(change, message):
    with pytest.raises(ValidationError, match=message):
        Claim.model_validate({**GOOD, **change})


@pytest.mark.parametrize(
    ("change", "region"),
    [
        ({}, (0, float("inf"))),
        ({"expect": "less"}, (-float("inf"), 0)),
        ({"expect": "equal", "margin": 0.5}, (-0.5, 0.5)),
        ({"expect": "between", "low": 1}, (1, float("inf"))),
        ({"expect": "between", "high": 1, "against": None}, (-float("inf"), 1)),
        ({"expect": "ratio_at_least", "ratio": 2}, (2, float("inf"))),
        ({"expect": "decreases", "along": "b", "against": None}, (-float("inf"), 0)),
        ({"expect": "equal", "margin": "8/255"}, (-8 / 255, 8 / 255)),
        ({"expect": "ratio_at_least", "ratio": "3/2"}, (1.5, float("inf"))),
        ({"expect": "peaks_at", "along": "b", "against": None, "low": 4, "high": 4}, (0, float("inf"))),
        ({"expect": "front_dominates", "metric": "", "metrics": ["a", "b"]}, (0, float("inf"))),
        (CORRELATION, (0.5, float("inf"))),
    ],
)
def test_regions(change, region):
    assert Claim.model_validate({**GOOD, **change}).region() == region


def test_claims_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Claim.model_validate(GOOD).name = "other"


@pytest.mark.parametrize(
    ("label", "wanted", "fits"),
    [
        ("cnn", "cnn", True),
        ("cnn", "mlp", False),
        ("cnn", ["mlp", "cnn"], True),
        ("mixup 0.4", "mixup*", True),
        ("mixup [0.4]", "mixup [0.4]", True),
        ("8", 8, True),
        ("0.001", 1e-3, True),
        ("8/255", 8 / 255, True),
        ("true", True, True),
        ("1", True, False),
        ("nan", "nan", True),
        ("CNN", "cnn", False),
        ("32", ">= 32", True),
        ("16", ">= 32", False),
        ("4/255", "< 8/255", True),
        ("16", "> 8, < 32", True),
        ("64", "> 8, < 32", False),
        ("8", "!= 8", False),
        ("cnn", "> 8", False),
        ("> 8", "> 8", True),
        ("9", "> a", False),
    ],
)
def test_levels_match_by_label_number_list_pattern_or_comparison(label, wanted, fits):
    assert matches(label, wanted) is fits


def test_selected_cells():
    cells = [{"model": m, "width": w} for m in ("cnn", "mlp") for w in ("8", "16")]
    assert selected(cells, {"model": "cnn"}) == cells[:2]
    assert selected(cells, {"model": "*n*", "width": [8, 32]}) == cells[:1]
    assert selected(cells, {"depth": 1}) == []
    assert selected(cells, {}) == selected(cells, None) == cells


def test_a_damaged_lock_names_the_claims():
    with pytest.raises(LedgerError, match=r"sweep\.lock\.yaml: claims"):
        claims_of({"claims": [{"name": "n"}]})


def loaded_by(module):
    code = f"import sys, {module}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_sweep_language_may_import_claims_quickly():
    assert not loaded_by("analysis.claims") & {"numpy", "pandas", "scipy", "matplotlib", "pyarrow"}


def test_analysis_needs_neither_torch_nor_ray_nor_pyplot():
    loaded = loaded_by("analysis.report")
    assert not loaded & {"torch", "ray", "optuna", "matplotlib.pyplot", "scipy.stats"}
    assert not {name.split(".")[0] for name in loaded} & {"sweeps", "cluster", "trainables"}


def test_the_examples_of_the_docs_are_claims():
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
    found = claims_of(yaml.safe_load(page.split("```yaml")[1].split("```")[0]))
    assert {claim.expect for claim in found} == set(get_args(Expect))

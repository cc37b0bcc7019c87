import subprocess
import sys

import pytest
from pydantic import ValidationError

from analysis.claims import Claim, claims_of, matches, selected
from analysis.records import LedgerError

GOOD = {"name": "n", "metric": "m", "where": {"a": 1}, "against": {"a": 2}, "expect": "greater"}


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
        ({"expect": "greater", "along": "a"}, "along belongs to increases or decreases, not to greater"),
        ({"expect": "better"}, "'greater', 'less'"),
        ({"metrik": "m"}, "Extra inputs"),
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
    ],
)
def test_levels_match_by_label_number_list_or_pattern(label, wanted, fits):
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

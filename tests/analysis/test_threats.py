"""Every defect that the report looks for, planted and found."""

import numpy as np
import pytest
from synthetic import Folder, lock, noisy, sweep

from analysis.answers import rows
from analysis.frames import load
from analysis.records import DECISIONS
from analysis.threats import evenness, threats

TOP = {"mlp": 0.90, "cnn": 0.95}
GREATER = {"name": "cnn wins", "metric": "accuracy/test", "where": {"model.name": "cnn"}, "expect": "greater"}
GREATER = {**GREATER, "against": {"model.name": "mlp"}}


def made(path, top=TOP, claims=(GREATER,), noise=0.01, **more):
    document = lock({"model.name": list(top)}, claims=list(claims), **more.pop("lock", {}))
    return sweep(path, document, noisy(lambda levels: top[levels["model.name"]], noise=noise), **more)


def found(path):
    run = load(path)
    return [(threat.kind, threat.text) for threat in threats(run, rows(run))]


def texts(path, kind):
    return " ".join(text for one, text in found(path) if one == kind)


def test_a_sound_run_has_none(tmp_path):
    made(tmp_path)
    assert found(tmp_path) == []


def test_few_and_missing_seeds(tmp_path):
    folder = made(tmp_path, seeds=4)
    folder.decide("diverged", trial="c1-s1002", attempt=1, seconds=1.0, error="loss is nan at step 3")
    assert "As few as 3 confirm seeds in a cell" in texts(tmp_path, "few seeds")
    assert texts(tmp_path, "missing seeds") == "cnn: 1 of 4 confirm replicates are missing from its mean."


def test_cells_without_replicates(tmp_path):
    folder = made(tmp_path)
    for seed in range(1000, 1008):
        folder.decide("failed", trial=f"c0-s{seed}", attempt=1, seconds=1.0, error="boom")
    folder.decide("cell", cell="c9", levels={"model.name": "vit"})
    assert texts(tmp_path, "missing cells") == (
        "1 cell without a winner: vit. 1 cell without a finished confirm replicate: mlp."
    )


def test_failures_of_one_level_are_not_random(tmp_path):
    folder = made(tmp_path)
    for seed in range(1000, 1006):
        folder.decide("diverged", trial=f"c1-s{seed}", attempt=1, seconds=1.0, error="nan")
    text = texts(tmp_path, "failures")
    assert text.startswith("Failures are not random over the levels of model.name (p = ")
    assert text.endswith("6 of 14 trials failed in cnn, 0 of 14 trials elsewhere.")


def test_failures_that_are_spread_are_no_threat(tmp_path):
    folder = made(tmp_path)
    for cell in ("c0", "c1"):
        folder.decide("failed", trial=f"{cell}-s1000", attempt=1, seconds=1.0, error="boom")
    assert texts(tmp_path, "failures") == ""


def test_evenness_has_the_size_of_a_test():
    """Failures at random are called uneven in at most one sweep of twenty."""
    random = np.random.default_rng(0)
    levels = np.repeat(np.array(["a", "b", "c"], dtype=object), 20)
    p = [evenness(levels, random.permutation(60) < 9, seed=i) for i in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.06
    assert evenness(levels, np.arange(60) < 9) < 0.001


def test_unequal_tuning(tmp_path):
    folder = made(tmp_path)
    for n in range(6, 16):
        folder.decide("asked", cell="c1", number=n, point=f"p{n}", params={})
        folder.decide("told", cell="c1", number=n, state="COMPLETE", values=[0.1])
    assert texts(tmp_path, "unequal tuning") == "The cells were not tuned alike: 6 points in mlp, up to 16 elsewhere."


@pytest.mark.parametrize(
    ("objective", "metric", "who"),
    [
        ("accuracy/test", "accuracy/test", "The answer and the claims rest"),
        ("loss/test", "accuracy/test", "The answer and the claims rest"),
        ("accuracy/validation", "accuracy/validation", "The claims rest"),
    ],
)
def test_the_tuned_split_is_the_tested_one(tmp_path, objective, metric, who):
    made(tmp_path, claims=[{**GREATER, "metric": metric}], lock={"objective": {"maximize": objective}})
    text = texts(tmp_path, "selection")
    assert f"{who} on the split that {objective} was tuned on" in text
    assert (f"selected by {objective}, a test metric" in text) == objective.endswith("test")


@pytest.mark.parametrize(
    ("low", "high", "log", "edge"),
    [
        (1e-4, 0.0125, True, "upper end"),
        (0.012, 10.0, True, "lower end"),
        (1e-4, 1.0, True, ""),
        (0.01, 1.0, False, "lower end"),
        (0.0, 1.0, False, ""),
    ],
)
def test_winners_at_the_edge(tmp_path, low, high, log, edge):
    folder = Folder(tmp_path, lock({}, nuisance={"lr": {"low": low, "high": high, "log": log}}))
    folder.decide("run", event="finished", seconds=1)
    folder.decide("cell", cell="c", levels={})
    folder.decide("asked", cell="c", number=0, point="p", params={"lr": 0.0123})
    folder.decide("winner", cell="c", points=["p"])
    for seed in range(1000, 1008):
        folder.plan(f"{seed}", "c", "confirm", "p", seed)
        folder.run(f"{seed}", [{"accuracy/validation": 0.5, "accuracy/test": 0.5}])
    text = texts(tmp_path, "edge of the space")
    assert (f"lr = 0.0123 is at the {edge} of its space" in text) if edge else text == ""


def test_effects_below_the_noise_of_a_seed(tmp_path):
    made(tmp_path, top={"mlp": 0.90, "cnn": 0.90}, noise=0.2)
    text = texts(tmp_path, "small effects")
    assert "The best two cells," in text
    assert "cnn wins: the two sides differ by" in text
    assert "less than one standard deviation over seeds (0." in text


def test_torn_lines(tmp_path):
    made(tmp_path)
    with (tmp_path / DECISIONS).open("a") as file:
        file.write('{"v":1,')
    assert "1 torn line in the ledger" in texts(tmp_path, "damage")


def test_a_run_that_goes_on(tmp_path):
    made(tmp_path, finished=False)
    assert texts(tmp_path, "unfinished") == "The run is not finished (started)."

"""Pairs of networks and what is said of their decisions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_trial import FakeTrial, drive, drive_all

from trainables.capacity import boundary
from trainables.capacity.slices import slices
from trainables.config import build, canonical, check
from trainables.data import load
from trainables.training.beginning import parts

QUICK = {
    "data": {"name": "gaussian_mixture", "num_examples": 400, "num_classes": 4, "separation": 4.0},
    "optimizer": {"lr": 0.1},
    "epochs": 6,
    "report_every": 6,
    "planes": {"count": 8, "resolution": 12, "inputs": 6, "directions": 3, "picture": 0},
}


def config(**settings):
    return build(boundary.Config, QUICK | settings)


def last(trial=None, **settings):
    return drive(boundary.run, config(**settings), trial or FakeTrial())[-1]


def looks(trial, part="train", **settings):
    made = config(planes={**QUICK["planes"], "part": part}, **settings)
    return slices(parts([made], [trial]), load(made.data), made.planes, [trial.seed])[0]


def test_networks_that_begin_alike_decide_alike(monkeypatch):
    """The pair then is one network twice; as it is shipped, the two differ."""
    assert last()["reproducibility"] < 1
    monkeypatch.setattr("trainables.capacity.pairs.stream_seed", lambda seed, _: seed)
    same = last()
    assert same["reproducibility"] == same["reproducibility/above_chance"] == 1


def test_a_rival_is_the_second_network_and_the_first_is_the_same_whatever_the_rival():
    trials = [FakeTrial(), FakeTrial()]
    alone, mixed = (last(trial, rival=rival) for trial, rival in zip(trials, (None, "linear"), strict=True))
    assert mixed["reproducibility"] != alone["reproducibility"]
    assert mixed["parameters"] < alone["parameters"]
    first, second = (trial.saved["fits"] for trial in trials)
    for name, tensor in first[0]["network"]["parameters"].items():
        assert torch.equal(tensor, second[0]["network"]["parameters"][name])
    assert first[1]["network"]["parameters"].keys() != second[1]["network"]["parameters"].keys()


def test_naming_the_own_architecture_as_rival_changes_nothing():
    assert last(model={"name": "mlp", "width": 8}, rival={"name": "mlp", "width": 8}) == last(
        model={"name": "mlp", "width": 8}
    )


def test_no_rival_survives_a_round_trip_and_others_are_checked():
    assert build(boundary.Config, canonical(config())) == config()
    (problem,) = check(boundary.Config, {"rival": {"name": "mpl"}})
    assert (problem.path, problem.nearest) == (("rival", "name"), "mlp")
    (problem,) = check(boundary.Config, {"model": None})
    assert problem.path == ("model",)


@pytest.mark.parametrize("settings", [{"model": "linear"}, {"optimizer": {"lr": 1e-4}}, {"label_smoothing": 0.1}])
def test_planes_and_examples_are_those_of_the_seed_whatever_is_trained(settings):
    usual, other = looks(FakeTrial()), looks(FakeTrial(), **settings)
    assert torch.equal(usual.planes.origin, other.planes.origin)
    assert torch.equal(usual.planes.axes, other.planes.axes)
    assert torch.equal(usual.others, other.others)
    assert not torch.equal(usual.planes.origin, looks(FakeTrial(seed=1)).planes.origin)


@pytest.mark.parametrize("part", ["train", "test"])
def test_planes_go_through_examples_of_the_part_as_the_networks_see_them(part):
    trial, made = FakeTrial(), config()
    seen = parts([made], [trial])[part]
    inputs = seen.chunk(0, seen.count)[0].flatten(1).double()
    planes = looks(FakeTrial(), part).planes
    corners = planes.at(planes.corners).flatten(0, 1)
    assert torch.cdist(corners, inputs).amin(1).max() < 1e-6


def test_label_noise_leaves_the_planes_alone():
    clean, noisy = (looks(FakeTrial(), split={"label_noise": noise}) for noise in (0.0, 0.4))
    assert torch.equal(clean.planes.origin, noisy.planes.origin)


def test_three_of_one_class_are_rightly_labelled():
    trial = FakeTrial()
    made = config(planes={**QUICK["planes"], "classes": "equal"}, split={"label_noise": 0.5})
    divided = parts([made], [trial])
    examples = load(made.data)
    train = divided["train"]
    planes = slices(divided, examples, made.planes, [0])[0].planes
    inputs = train.chunk(0, train.count)[0].flatten(1).double()
    places = torch.cdist(planes.at(planes.corners).flatten(0, 1), inputs).argmin(1).numpy()
    right = examples.labels[train.rows[0].numpy()]
    assert (train.labels[0].numpy()[places] == right[places]).all()
    assert all(len(set(right[three])) == 1 for three in places.reshape(-1, 3))


def test_a_linear_network_has_a_region_for_each_class_and_a_deep_one_with_noise_has_more():
    planes = {**QUICK["planes"], "resolution": 40}
    settings = {
        "planes": planes,
        "split": {"label_noise": 0.3},
        "epochs": 60,
        "report_every": 60,
        "schedule": "constant",
    }
    linear, deep = (last(model=model, **settings) for model in ("linear", {"name": "mlp", "width": 128}))
    assert linear["fragmentation"] <= 4.2
    assert deep["fragmentation"] > linear["fragmentation"]
    assert deep["reproducibility"] < linear["reproducibility"]
    assert deep["margin"] < linear["margin"]


def test_pictures_come_with_the_last_report():
    begun, whole = FakeTrial(), FakeTrial()
    settings = {"planes": {**QUICK["planes"], "picture": 16}, "report_every": 3}
    drive(boundary.run, config(**settings), begun, 1)
    assert begun.shown == []
    drive(boundary.run, config(**settings), whole)
    assert whole.shown == ["decisions"]


def test_members_with_other_noise_and_rates_report_what_they_report_alone():
    configs = [config(split={"label_noise": noise}, optimizer={"lr": lr}) for noise, lr in ((0.0, 0.1), (0.3, 0.02))]
    together = drive_all(boundary.run, configs, [FakeTrial(seed=n) for n in range(2)])
    for n, reports in enumerate(together):
        alone = drive(boundary.run, configs[n], FakeTrial(seed=n))
        assert reports[-1] == pytest.approx(alone[-1], rel=2e-2)
        assert np.isfinite(list(alone[-1].values())).all()

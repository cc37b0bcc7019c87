"""The paper scales of the phenomena take a step on fake data of the shapes that they name."""

from __future__ import annotations

import numpy as np
import pytest
from fake_trial import FakeTrial, drive

from sweeps import space
from sweeps.resolve import load
from trainables import registry
from trainables.data import Examples, huggingface

SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28)}
SMALLER = {"num_train": 50, "num_test": 50, "epochs": 1, "report_every": 1, "decades": 1}
OWN = {"plasticity": {"batch_size": 64}}
NAMES = [
    "double-descent-features",
    "double-descent-steps",
    "double-descent-samples",
    "double-descent-width",
    "edge-of-stability",
    "gradinit",
    "gradinit-adam",
    "gradinit-rates",
    "plasticity",
    "random-labels",
    "regularisers",
]


def fake(config):
    rng = np.random.default_rng(0)
    inputs = rng.random((300, *SHAPES[config.path]), dtype=np.float32)
    return Examples(inputs, np.arange(300) % 10, tuple("0123456789"), {"test": np.arange(200, 300)})


@pytest.mark.parametrize("name", NAMES)
def test_one_step_on_fake_data(name, monkeypatch):
    monkeypatch.setattr(huggingface.Config, "load", fake)
    sweep = load(f"capacity/{name}", "paper").sweep
    trainable = registry.find(sweep.trainable)
    values = space.config(sweep, space.cells(sweep)[0], {})
    assert values["data"]["name"] == "huggingface"
    fields = trainable.resolve(values)
    config = trainable.build(
        values | {key: least for key, least in (SMALLER | OWN.get(name, {})).items() if key in fields}
    )
    (report,) = drive(trainable.run, config, FakeTrial(), 1)
    assert all(np.isfinite(value) for value in report.values())

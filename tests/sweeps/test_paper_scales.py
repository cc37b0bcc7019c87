"""The paper scales of the sweeps on capacity take a step on data of the shapes that they name.

Those on EMC and on decision boundaries have files of their own.
"""

from __future__ import annotations

import numpy as np
import pytest
from fake_trial import FakeTrial, drive

from sweeps import space
from sweeps.plan import middle
from sweeps.resolve import library, load
from trainables import registry
from trainables.config import without_members
from trainables.data import Examples, shelf

SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28)}
SMALLER = {"num_train": 50, "num_test": 50, "epochs": 1, "report_every": 1, "decades": 1, "compile": False}
OWN = {
    "plasticity": {"batch_size": 64},
    "plasticity-tuned": {"batch_size": 64},
    "transformer-rates": {  # so few tokens that parts of so few examples have some of each
        "batch_size": 8,
        "data": {"num_examples": 24, "vocabulary": 8},
        "split": {"validation_fraction": 0.4, "standardise": False},
    },
}
GENERATED = {"benign-overfitting", "gradient-starvation", "grokking", "opposing-signals", "transformer-rates"}
BOUNDARIES = {"boundary-architectures", "boundary-optimizers", "boundary-width"}  # test_boundary_at_paper_scale.py
LONG = {"transformer-rates"}  # 26 million parameters

CAPACITY = [name.removeprefix("capacity/") for name in library() if name.startswith("capacity/")]
PAPER = [name for name in CAPACITY if "paper" in load(f"capacity/{name}").scales]
NAMES = [name for name in PAPER if not name.startswith(("emc-", "boundary-"))]


def fake(config):
    """What takes the place of the hub, and of what this machine has kept from it."""
    rng = np.random.default_rng(0)
    inputs = rng.random((300, *SHAPES[config.path]), dtype=np.float32)
    return Examples(inputs, np.arange(300) % 10, tuple("0123456789"), {"test": np.arange(200, 300)})


def merged(values, changes):
    new = {key: values.get(key, {}) | least if isinstance(least, dict) else least for key, least in changes.items()}
    return values | new


def kinds(name):
    """A small config for each kind of cell: those of other components or shapes."""
    sweep = load(f"capacity/{name}", "paper").sweep
    trainable = registry.find(sweep.trainable)
    made = {}
    for cell in space.cells(sweep):
        values = space.config(sweep, cell, middle(space.parameters(sweep, cell)))
        fields = trainable.resolve(values)
        small = {key: least for key, least in (SMALLER | OWN.get(name, {})).items() if key in fields}
        config = trainable.build(merged(values, small))
        made.setdefault(repr(without_members(config)), (values["data"]["name"], config))
    return trainable, list(made.values())


def takes_a_step(trainable, config):
    (report,) = drive(trainable.run, config, FakeTrial(), 1)
    assert all(np.isfinite(value) for value in report.values())


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES])
def test_one_step(name, monkeypatch):
    monkeypatch.setattr(shelf, "shared", fake)
    trainable, [(data, config), *_] = kinds(name)
    assert (data == "huggingface") == (name not in GENERATED)
    takes_a_step(trainable, config)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["regularisers", "plasticity-tuned", "full-batch"])
def test_one_step_with_each_component(name, monkeypatch):
    monkeypatch.setattr(shelf, "shared", fake)
    trainable, found = kinds(name)
    assert len(found) > 1
    for _, config in found:
        takes_a_step(trainable, config)


def test_every_paper_scale_is_looked_at():
    """Here or in the other files, of which that on EMC finds its sweeps by itself."""
    elsewhere = {name for name in PAPER if name.startswith("boundary-")}
    assert elsewhere == BOUNDARIES
    assert {"capacity/emc-linear"} == {f"capacity/{name}" for name in CAPACITY} - {f"capacity/{n}" for n in PAPER}

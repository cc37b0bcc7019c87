"""The published settings of the sweeps on decision boundaries take a step on data of the published shape."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fake_trial import FakeTrial, drive

from sweeps import space
from sweeps.plan import middle
from sweeps.resolve import load
from trainables.capacity import boundary
from trainables.config import build
from trainables.data import gaussian_images

CIFAR = gaussian_images.Config(num_examples=30, num_classes=10, channels=3, side=32)
SMALL = {"epochs": 1, "report_every": 1, "batch_size": 64}


def paper(name):
    """The config of each cell, by its levels."""
    sweep = load(f"capacity/{name}", "paper").sweep
    found = {}
    for cell in space.cells(sweep):
        made = build(boundary.Config, space.config(sweep, cell, middle(space.parameters(sweep, cell))))
        assert type(made.data).__module__.endswith("huggingface")
        found[tuple(cell.levels.values())] = made
    return found


def takes_a_step(config):
    planes = replace(config.planes, count=1, resolution=3, inputs=1, directions=1, picture=0)
    small = replace(config, data=CIFAR, planes=planes, split=replace(config.split, validation_fraction=0.5), **SMALL)
    (report,) = drive(boundary.run, small, FakeTrial())
    assert report["step"] == 1
    assert all(math.isfinite(value) for value in report.values())
    return report


@pytest.mark.parametrize(
    ("width", "parameters"), [("1", 3_106), pytest.param("64", 11_173_962, marks=pytest.mark.slow)]
)
def test_narrow_and_full_resnets(width, parameters):
    assert takes_a_step(paper("boundary-width")[width, "0.2"])["parameters"] == pytest.approx(parameters, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [("mlp", "cnn"), ("vit", "mixer")])
def test_pairs_of_networks(pair):
    takes_a_step(paper("boundary-architectures")[pair])


@pytest.mark.slow
def test_sam_around_sgd():
    takes_a_step(paper("boundary-optimizers")["cnn", "sgd", "sam"])

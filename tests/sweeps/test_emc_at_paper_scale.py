"""The published settings of the sweeps on capacity build, and take a step on data of the published shape."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweeps import space
from sweeps.plan import middle
from sweeps.resolve import library, load
from trainables import registry
from trainables.capacity import rung, samples
from trainables.config import without_members
from trainables.data import gaussian_images

CIFAR = gaussian_images.Config(num_examples=12, num_classes=10, channels=3, side=32)
NAMES = [name for name in library() if name.startswith("capacity/emc-")]


def paper(name):
    """A config for each kind of network and optimizer."""
    sweep = load(name, "paper").sweep
    trainable = registry.find(sweep.trainable)
    cells = space.cells(sweep)
    made = [trainable.build(space.config(sweep, c, middle(space.parameters(sweep, c)))) for c in cells]
    return list({repr((without_members(c.model), type(c.optimizer))): c for c in made}.values())


@pytest.mark.parametrize("name", [name for name in NAMES if "paper" in load(name).scales])
def test_each_network_takes_a_step_on_images_of_the_published_shape(name):
    for config in paper(name):
        small = replace(
            config, data=CIFAR, batch_size=4, updates=1, epochs=1, check_minimum=name == "capacity/emc-architecture"
        )
        parts = samples.stacked([samples.pool(CIFAR.load(), 0.2, 1.0, 0)], CIFAR.load(), "cpu")
        (found,) = rung.train([small], [0], samples.first(parts, [0], 4), "cpu", lambda: None)
        assert math.isfinite(found.loss)
        assert found.steps == 1
        assert found.parameters > 5_000

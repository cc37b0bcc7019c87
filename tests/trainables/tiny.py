"""Small cohorts of classifiers, to be compared with the same trials alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from fake_trial import FakeTrial, drive_all
from torch import nn

from trainables.config import build
from trainables.data import Examples
from trainables.supervised import classify
from trainables.training.layers import Dropout, initialised

IMAGE, CLASSES = (1, 8, 8), 4

TOLERANCE = 2e-6
"""Largest difference of a parameter or a metric, relative to the largest parameter or to the metric. Sums in float32
round in another order for another number of members, to about 1e-7 in a step (2e-7 is the most that was seen here)."""


@dataclass(frozen=True)
class Images:
    """Noisy pictures of four classes; 64 are left to train on."""

    def load(self) -> Examples:
        rng = np.random.default_rng(0)
        labels = np.arange(100) % CLASSES
        means = rng.standard_normal((CLASSES, *IMAGE))
        inputs = means[labels] + rng.standard_normal((100, *IMAGE))
        return Examples(inputs.astype(np.float32), labels, tuple("abcd"))


QUICK = {"batch_size": 16, "epochs": 2, "data": {"name": "digits"}}


def config(**settings: Any) -> classify.Config:
    """A config whose component ``model`` may also be a config that is made in a test."""
    model = settings.pop("model", "mlp")
    named = isinstance(model, str | dict)
    made = build(classify.Config, QUICK | settings | ({"model": model} if named else {}))
    return replace(made, data=Images(), **({} if named else {"model": model}))


def train(configs, of, num_reports=None):
    """The reports of each trial. What they have learnt is in ``of[k].saved``."""
    return drive_all(classify.run, configs, of, num_reports)


def parameters(trial: FakeTrial) -> torch.Tensor:
    """All of them, as one row."""
    return torch.cat([part.flatten() for part in trial.saved["fit"]["network"]["parameters"].values()])


def gap(first: FakeTrial, second: FakeTrial) -> float:
    """Largest difference of their parameters, relative to the largest parameter."""
    one, other = parameters(first), parameters(second)
    return ((one - other).abs().max() / other.abs().max()).item()


class Recorder(nn.Module):
    """Adds up what goes through it in training, so that not one bit of it can differ unseen."""

    def __init__(self, size: tuple[int, ...], *, mask: bool = False) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(size, device="cpu"))
        self.register_buffer("weight", torch.tensor(1.0, device="cpu"))
        self.mask = mask

    def forward(self, values):
        if self.training:
            shown = (values != 0).float() if self.mask else values.detach()
            self.seen.add_(shown * self.weight)
            self.weight.mul_(2 if self.mask else 1.1)
        return values


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A model that remembers the batches and the dropout masks of its training."""

    rate: float = 0.0
    rows: int = 16

    def build(self, shape, num_classes, init):
        def layers():
            record = [nn.Flatten(), Recorder((self.rows, math.prod(shape))), nn.Linear(math.prod(shape), 12)]
            return nn.Sequential(
                *record, Dropout(self.rate), Recorder((self.rows, 12), mask=True), nn.Linear(12, num_classes)
            )

        return initialised(layers, init)


def recorded(trial: FakeTrial) -> dict[str, torch.Tensor]:
    return {k: v for k, v in trial.saved["fit"]["network"]["buffers"].items() if k.endswith("seen")}

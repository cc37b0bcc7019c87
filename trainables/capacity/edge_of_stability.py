"""Gradient descent on all examples at once, and how sharp the loss is where it goes.

Source: Cohen et al., 2021, arXiv:2103.00065: the sharpness grows until it is about 2 / lr, and stays there while the
loss rises from time to time and falls in the long run.  Differs: the sharpness is that of 12 rounds of Lanczos.
Expect: sharpness_ratio near 1 and hundreds of loss_increases on the digits with the defaults (our run, 2026-11-21).
Cost: 10 s on one CPU core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from trainables.api import Reports, Trial
from trainables.capacity.descending import Descending
from trainables.config import Component
from trainables.data import DataConfig, digits

METRICS = {
    "step": "steps so far",
    "loss/train": "mean loss of the training examples, as it is minimised",
    "accuracy/train": "fraction of the training examples that are classified right",
    "accuracy/test": "fraction of the test examples that are classified right",
    "sharpness": "largest eigenvalue of the Hessian of loss/train",
    "sharpness_ratio": "sharpness over the largest one at which gradient descent is stable, (2 + 2 momentum) / lr",
    "loss_increases": "steps so far that made loss/train larger",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Descending):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after every so many steps."""
    from trainables.capacity.descent import Descent

    descent = Descent(configs, configs, trials)
    while descent.goes_on():
        for _ in descent.steps():
            pass
        yield descent.reports([{}] * len(descent.numbers))


def steps(config: Config) -> int:
    """The last step number."""
    return config.epochs

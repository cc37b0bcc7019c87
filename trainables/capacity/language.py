"""A small transformer that predicts the next token, and whether it stays stable at large learning rates.

Source: Wortsman et al., 2023, arXiv:2309.14322: losses count at most as that of the untrained network, so that their
mean over learning rates tells how sensitive training is to them (sec. 2.2).  Differs: a generated language.
Expect: loss/test about 2.9 with the defaults (our run, 2026-11-28).  Cost: 1 s on one CPU core, less in a cohort.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from trainables.api import NonNegative, PerMember, PositiveInt, Reports, Trial
from trainables.config import Component
from trainables.data import DataConfig, Split, load, markov_copy
from trainables.models import ModelConfig, transformer
from trainables.training.augmentations import AugmentationConfig, identity
from trainables.training.losses import LossConfig, RememberingLossConfig, cross_entropy
from trainables.training.optimizers import OptimizerConfig, adamw
from trainables.training.recipe import Recipe
from trainables.training.schedules import ScheduleConfig, cosine

METRICS = {
    "step": "optimizer steps so far",
    "loss/validation": "cross-entropy of the next token on the validation sequences, in nats; that of the untrained "
    "network where it is larger or no number",
    "loss/test": "the same on the test sequences",
    "attention_logit": "logarithm to base 10 of the largest logit of attention on the validation sequences, from 0 on; "
    "38 where it is no number",
    "parameters": "number of weights and biases",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=markov_copy.Config)
    """Sequences of tokens, whose class is the token that follows."""
    split: Split = field(default_factory=lambda: Split(standardise=False))
    """How they are divided."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(
        default_factory=lambda: transformer.Config(vocabulary=32, causal=True)
    )
    """The architecture: ``transformer`` with a vocabulary and ``causal``."""
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=lambda: adamw.Config(lr=1e-2, beta2=0.95)
    )
    """The update rule, with its learning rate."""
    schedule: Annotated[ScheduleConfig, Component("trainables.training.schedules")] = field(
        default_factory=lambda: cosine.Config(warmup_fraction=0.1)
    )
    """How the learning rate changes over the steps."""
    loss: Annotated[LossConfig | RememberingLossConfig, Component("trainables.training.losses")] = field(
        default_factory=cross_entropy.Config
    )
    """What is minimised at each position. It must not remember examples."""
    augmentation: Annotated[AugmentationConfig, Component("trainables.training.augmentations")] = field(
        default_factory=identity.Config
    )
    """None: ``identity``."""
    clip_norm: PerMember[NonNegative] = 1.0
    """Longest gradient that a step takes; longer ones are shortened to it. 0: any (Pascanu et al., 2013)."""
    batch_size: PositiveInt = 32
    """Sequences in a step."""
    epochs: PositiveInt = 3
    """Passes over the training sequences."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, transformer.Config) or not self.model.causal or not self.model.vocabulary:
            raise ValueError("model must be transformer with a vocabulary and causal: true")
        if isinstance(self.loss, RememberingLossConfig) or self.label_smoothing:
            raise ValueError("loss must be one that remembers no examples, without label_smoothing")
        if not isinstance(self.augmentation, identity.Config) or self.split.standardise:
            raise ValueError("tokens stay as they are: augmentation identity and split.standardise: false")


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after each epoch."""
    from trainables.capacity.reading import Reading

    reading = Reading(configs, trials)
    while reading.goes_on():
        reading.fit.run_epoch(trials[0].pulse)
        yield reading.measure()


def steps(config: Config) -> int:
    """The last step number. Reads the data, once per process."""
    import numpy as np

    from trainables.training.partition import part_rows

    num_examples = len(part_rows(load(config.data), config.split, np.random.default_rng(0))["train"])
    return config.epochs * math.ceil(num_examples / config.batch_size)

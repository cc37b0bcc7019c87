"""How capacity is measured: what training at one sample size is, and which sizes are tried."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Gt, Lt

from trainables.api import NonNegative, NonNegativeInt, PositiveInt
from trainables.capacity.ladder import Ladder, rungs
from trainables.config import Component
from trainables.data import DataConfig, digits
from trainables.models import ModelConfig, mlp
from trainables.training.optimizers import OptimizerConfig, adam
from trainables.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Climbing(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is fitted. Inputs are standardised; those that occur twice are left out once."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture."""
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=lambda: adam.Config(lr=5e-3)
    )
    """The update rule, with its learning rate."""
    updates: NonNegativeInt = 3000
    """Most optimizer steps at each sample size. 0: as many as ``epochs`` passes take. Failures depend on it."""
    check_every: PositiveInt = 20
    """Steps between two looks at all examples at rest; a look comes after a whole pass."""
    fit_loss: NonNegative = 0.0
    """Mean training loss from which on a sample counts as fitted. 0: when all examples are classified right."""
    loss_tolerance: NonNegative = 0.01
    """Relative change of the training loss over a tenth of the steps, below which it counts as flat."""
    gradient_tolerance: NonNegative = 1e-3
    """Norm of the gradient at rest, over that at the start, below which it counts as zero."""
    check_minimum: bool = False
    """Whether training that is flat goes on at a saddle: where the smallest eigenvalue of the Hessian, by Lanczos, is
    below -1/100 of the largest."""
    start: PositiveInt = 8
    """The first sample size."""
    growth: Annotated[float, Gt(1)] = 1.26
    """Of the sample size from one try to the next; the relative resolution of the result."""
    most: NonNegativeInt = 0
    """The last sample size. 0: all examples that there are."""
    patience: PositiveInt = 2
    """Failures in a row that end the search. Near the limit success is a matter of luck."""
    test_fraction: Annotated[float, Lt(1)] = 0.2
    """Of all examples, unless the data set comes with a test part of its own. 0: none."""

    def ladder(self, num_examples: int) -> Ladder:
        most = min(self.most or num_examples, num_examples)
        return Ladder(sizes=rungs(self.start, self.growth, most), patience=self.patience)

    def passes(self, size: int) -> int:
        """The most epochs at a sample size."""
        return math.ceil(self.updates / math.ceil(size / self.batch_size)) if self.updates else self.epochs

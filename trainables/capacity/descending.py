"""What may be set for gradient descent on all examples at once. A trainable's ``Config`` extends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from trainables.api import PerMember, Positive, PositiveInt
from trainables.config import Component
from trainables.data import Split
from trainables.models import ModelConfig, mlp
from trainables.training.losses import LossConfig, RememberingLossConfig, squared_error
from trainables.training.optimizers import OptimizerConfig, sgd
from trainables.training.recipe import Recipe
from trainables.training.schedules import ScheduleConfig, constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Descending(Recipe):
    split: Split = field(default_factory=lambda: Split(validation_fraction=0.65, standardise=False))
    """How the data are divided. The validation part is not used."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(
        default_factory=lambda: mlp.Config(depth=2, activation="tanh")
    )
    """The architecture."""
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=lambda: sgd.Config(lr=0.1, momentum=0.0)
    )
    """``sgd``, which without batches is gradient descent."""
    schedule: Annotated[ScheduleConfig, Component("trainables.training.schedules")] = field(
        default_factory=constant.Config
    )
    """How the learning rate changes over the steps; sharpness_ratio is that of its peak."""
    loss: Annotated[LossConfig | RememberingLossConfig, Component("trainables.training.losses")] = field(
        default_factory=squared_error.Config
    )
    """What is minimised, whose sharpness is reported. It must not remember examples."""
    init_scale: PerMember[Positive] = 0.5
    """What the initial weights are multiplied by: from large ones the descent begins beyond the edge of stability."""
    batch_size: PositiveInt = 2**20
    """All training examples."""
    epochs: PositiveInt = 1000
    """Steps. A multiple of ``report_every``."""
    report_every: PositiveInt = 10
    """Steps between two reports."""

    def __post_init__(self) -> None:
        if not isinstance(self.optimizer, sgd.Config) or self.optimizer.nesterov:
            raise ValueError("optimizer must be sgd without nesterov: for others the edge of stability lies elsewhere")
        if isinstance(self.loss, RememberingLossConfig):
            raise ValueError("loss must be one that remembers no examples")
        if self.epochs % self.report_every:
            raise ValueError(f"epochs {self.epochs} must be a multiple of report_every {self.report_every}")

    @property
    def edge(self) -> float:
        """The largest sharpness at which it is stable on a quadratic (Cohen et al., 2021, arXiv:2103.00065, app. B)."""
        assert isinstance(self.optimizer, sgd.Config)
        return (2 + 2 * self.optimizer.momentum) / self.optimizer.lr

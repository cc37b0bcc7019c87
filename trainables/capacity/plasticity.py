"""How well a network still learns after many tasks, one after the other, and what keeps it able to.

Each task is to classify the same examples with their features in another order, in one pass. A network that begins
afresh learns the last task beside it.

Source: Dohare et al., 2024, "Loss of plasticity in deep continual learning", Nature 632, doi:10.1038/s41586-024-07711-7
(online permuted MNIST).  Differs: small tasks at a large learning rate show it sooner.
Expect: what the sweep capacity/plasticity found.  Cost: 4 s on one CPU core with the defaults, less in a cohort.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Lt

from trainables.api import Diverged, Fraction, Metrics, NonNegative, PerMember, PositiveInt, Reports, Trial
from trainables.config import Component
from trainables.data import DataConfig, Split, digits
from trainables.models import ModelConfig, mlp
from trainables.training.losses import LossConfig, RememberingLossConfig, cross_entropy
from trainables.training.optimizers import OptimizerConfig, anchored
from trainables.training.recipe import Recipe
from trainables.training.schedules import ScheduleConfig, constant

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.losses import Targets

METRICS = {
    "step": "tasks so far",
    "accuracy/online": "fraction of the examples that were classified right when they came, before they were trained "
    "on; mean over the tasks since the last report",
    "accuracy/early": "the same over the tasks of the first report",
    "drop": "accuracy/early - accuracy/online",
    "accuracy/fresh": "that of a network that begins afresh with the last task",
    "lost": "accuracy/fresh less that of this network on the same task",
    "dead_units": "share of the hidden units that are 0 for all examples of the last task",
    "effective_rank": "of the last hidden layer's values for the examples of the last task, at most its width",
    "weight_norm": "Euclidean norm of all parameters",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """What is done to the weights between two tasks, and to single units in each step. What is done to all weights in
    each step belongs to the optimizer."""

    shrink: PerMember[Fraction] = 0.0
    """Share of the weights that is taken away (Ash and Adams, 2020, arXiv:1910.08475, sec. 5)."""
    perturb: PerMember[NonNegative] = 0.0
    """What fresh initial weights are multiplied by before they are added."""
    recycle_below: PerMember[NonNegative] = 0.0
    """Units start afresh whose mean size is at most this share of their layer's mean (Sokar et al., 2023,
    arXiv:2302.12902, which has 0.025 and 0.1). 0: none do."""
    replace: PerMember[Fraction] = 0.0
    """Share of the mature units of each hidden layer that start afresh in a step, those of least use, one at a time
    (continual backpropagation: Dohare et al., 2024, who have 1e-6 to 1e-4). 0: none do."""
    maturity: PerMember[NonNegative] = 100.0
    """Steps after its start in which a unit is not replaced."""
    use_decay: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.99
    """Of the running mean, over steps, of the use of each unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A loss that remembers of each example whether it was classified right when it was last trained on."""

    inner: Any

    def start(self, num_examples: int, num_classes: int) -> Tensor:  # noqa: ARG002
        import torch

        return torch.zeros(num_examples, 1)

    def recall(self, logits: Tensor, targets: Targets, memory: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        classes = targets.argmax(1) if targets.is_floating_point() else targets
        return self.inner.of(logits, targets), (logits.argmax(1) == classes).float()[:, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""
    split: Split = field(default_factory=lambda: Split(test_fraction=0.01, validation_fraction=0.01))
    """How the data are divided. Only the training part is used."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(
        default_factory=lambda: mlp.Config(width=32, depth=3)
    )
    """The architecture: ``mlp`` without residuals."""
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=lambda: anchored.Config(lr=0.1, momentum=0.0, pull=0.0)
    )
    """The update rule. It keeps its state from task to task."""
    schedule: Annotated[ScheduleConfig, Component("trainables.training.schedules")] = field(
        default_factory=constant.Config
    )
    """How the learning rate changes over all tasks."""
    loss: Annotated[LossConfig | RememberingLossConfig, Component("trainables.training.losses")] = field(
        default_factory=cross_entropy.Config
    )
    """What is minimised. It must not remember examples."""
    remedy: Remedy = field(default_factory=Remedy)
    """What keeps the network able to learn."""
    batch_size: PositiveInt = 64
    """Examples in a step."""
    epochs: PositiveInt = 40
    """Tasks. A multiple of ``report_every``."""
    report_every: PositiveInt = 1
    """Tasks between two reports."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, mlp.Config) or self.model.residual or self.model.vocabulary:
            raise ValueError("model must be mlp without residuals and vocabulary, so that its units are known")
        if isinstance(self.loss, RememberingLossConfig) and not isinstance(self.loss, Watched):
            raise ValueError("loss must be one that remembers no examples")
        for name in ("recycle_below", "replace"):
            if getattr(self.remedy, name) and self.model.activation == "crelu":
                raise ValueError(f"remedy.{name}: with crelu two outputs share a unit, which cannot start afresh")
            if getattr(self.remedy, name) and self.model.normalisation == "batch":
                raise ValueError(f"remedy.{name}: with batch normalisation units have no bias that could start afresh")
        if self.epochs % self.report_every:
            raise ValueError(f"epochs {self.epochs} must be a multiple of report_every {self.report_every}")


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after every so many tasks."""
    from trainables.capacity.tasks import Tasks

    tasks = Tasks(configs, trials)
    while tasks.goes_on():
        for _ in range(configs[0].report_every):
            tasks.learn()
        yield {number: _report(metrics) for number, metrics in tasks.measure().items()}


def _report(metrics: Metrics) -> Metrics | Diverged:
    if math.isfinite(metrics["weight_norm"]):
        return metrics
    return Diverged(f"weight_norm is {metrics['weight_norm']} after task {metrics['step']}")


def steps(config: Config) -> int:
    """The last step number."""
    return config.epochs

"""Who moves when gradient descent is unstable: a few outliers that look alike and have opposite labels.

Source: Rosenfeld and Risteski, 2023, arXiv:2311.04163: in each step the loss of one half of them falls and that of the
other rises, while other examples hardly move.  Differs: a generated task of two classes and a small network.
Expect: mover_share above 0.5 and opposition below -0.5 with the
defaults after 1500 steps (our run, 2026-11-21).  Cost: 5 s on one CPU core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from trainables.api import Reports, Trial
from trainables.capacity.descending import Descending
from trainables.config import Component
from trainables.data import DataConfig, Split, opposing_signals

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from trainables.training.examples import StackedPart

METRICS = {
    "step": "steps so far",
    "loss/train": "mean loss of the training examples, as it is minimised",
    "accuracy/train": "fraction of the training examples that are classified right",
    "accuracy/test": "fraction of the test examples that are classified right",
    "sharpness": "largest eigenvalue of the Hessian of loss/train",
    "sharpness_ratio": "sharpness over the largest one at which gradient descent is stable, (2 + 2 momentum) / lr",
    "loss_increases": "steps so far that made loss/train larger",
    "mover_share": "share of outliers among as many examples as there are outliers, those whose loss changes most in a "
    "step; mean over the steps since the last report; 0 without outliers",
    "opposition": "correlation over the steps since the last report of the change of the loss of the outliers of one "
    "class with that of the other; 0 without outliers",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Descending):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=opposing_signals.Config)
    """The examples: ``opposing_signals``."""
    split: Split = field(default_factory=lambda: Split(validation_fraction=0.75, standardise=False))
    """How the data are divided. The validation part is not used."""

    def __post_init__(self) -> None:
        Descending.__post_init__(self)
        if not isinstance(self.data, opposing_signals.Config) or self.split.standardise:
            raise ValueError("data must be opposing_signals, with split.standardise: false, so that outliers are known")


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after every so many steps."""
    import torch

    from trainables.capacity.descent import Descent

    descent = Descent(configs, configs, trials)
    while descent.goes_on():
        outliers = _outliers(descent.parts["train"])
        shares, moves = zip(*(_moves(changes, outliers) for changes in descent.steps()), strict=True)
        opposition = correlation(*torch.stack(moves).unbind(1))
        pairs = zip(torch.stack(shares).mean(0).tolist(), opposition.tolist(), strict=True)
        yield descent.reports([{"mover_share": share, "opposition": with_} for share, with_ in pairs])


def steps(config: Config) -> int:
    """The last step number."""
    return config.epochs


def _outliers(train: StackedPart) -> Bool[Tensor, "classes members examples"]:
    """Which examples are outliers, for each of the two classes."""
    import torch

    odd = train.chunk(0, train.count)[..., 0] != 0
    return torch.stack([odd & (train.labels == label) for label in (0, 1)])


def _moves(
    changes: Float[Tensor, "members examples"], outliers: Bool[Tensor, "classes members examples"]
) -> tuple[Float[Tensor, " members"], Float[Tensor, "classes members"]]:
    """The share of outliers among those who move most, and the mean change of the outliers of each class."""
    means = (changes * outliers).sum(2) / outliers.sum(2).clamp(min=1)
    return mover_share(changes, outliers.any(0)), means


def mover_share(
    changes: Float[Tensor, "members examples"], outliers: Bool[Tensor, "members examples"]
) -> Float[Tensor, " members"]:
    count = outliers.sum(1, keepdim=True)
    place = changes.abs().argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (outliers & (place < count)).sum(1) / count[:, 0].clamp(min=1)


def correlation(first: Float[Tensor, "steps members"], second: Float[Tensor, "steps members"]) -> Tensor:
    """Of each member over the steps; 0 where nothing varies."""
    import torch

    first, second = (values.double() - values.double().mean(0) for values in (first, second))
    lengths = torch.linalg.vector_norm(first, dim=0) * torch.linalg.vector_norm(second, dim=0)
    return torch.where(lengths > 0, (first * second).sum(0) / lengths.clamp(min=1e-300), 0.0)

"""Least squares on random ReLU features, by gradient descent for any number of steps in closed form.

Features are relu(x W) / sqrt(features) with normal W of deviation 2 / sqrt(inputs); targets are one-hot vectors minus
their mean.  Gradient descent from zero on |A w - y|^2 / 2 + ridge |w|^2 / 2 with the step size 1 / (s_1^2 + ridge) has
after k steps the weights V g U^T y, where A = U S V^T and g = s / (s^2 + ridge) * (1 - (1 - (s^2 + ridge) / (s_1^2 +
ridge))^k) for each singular value s.
Everything is in float64, since the least squares at one feature per example mean nothing in float32.

Source: Belkin et al., 2019, arXiv:1812.11118; for the steps Liu and Flanigan, 2023, arXiv:2312.03951.
Expect: error/test on the digits with a fifth of the labels wrong, 300 examples, 10^12 steps: 0.88 at one
feature per example, 0.24 at four (our run, 2026-11-21).  Cost: 0.1 s on one CPU core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from trainables.api import (
    Fraction,
    Metrics,
    NonNegative,
    NonNegativeInt,
    PerMember,
    Positive,
    PositiveInt,
    Reports,
    Trial,
)
from trainables.config import Component
from trainables.data import DataConfig, Examples, digits, load

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

METRICS = {
    "step": "reports so far: 10^0, 10^1, ... steps of gradient descent",
    "gradient_steps": "steps of gradient descent so far",
    "error/train": "fraction of the training examples (with their noisy labels, if any) that are classified wrong",
    "error/test": "fraction of the test examples that are classified wrong",
    "squared_error/train": "squared distance to the target, mean over training examples",
    "squared_error/test": "squared distance to the target, mean over test examples",
    "log_squared_error/test": "its logarithm to base 10",
    "weight_norm": "Euclidean norm of the weights",
    "least_singular_value": "of the features of the training examples",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified. Inputs are flattened and centred."""
    num_train: PositiveInt = 300
    """Training examples, drawn anew for every seed."""
    num_test: PositiveInt = 797
    """Test examples, drawn anew for every seed."""
    label_noise: PerMember[Fraction] = 0.2
    """Fraction of the training labels that are replaced by another class, drawn evenly."""
    features_per_example: Positive = 1.0
    """Number of features over that of training examples."""
    width: NonNegativeInt = 0
    """Number of features, if it should not depend on the number of examples. 0: it does."""
    ridge: PerMember[NonNegative] = 0.0
    """What half the squared norm of the weights is multiplied by."""
    decades: PerMember[Annotated[int, Ge(0), Le(15)]] = 12
    """Gradient descent takes 10 to this power steps. 12: as good as infinitely many."""

    def __post_init__(self) -> None:
        if self.num_train < 2:
            raise ValueError("num_train must be at least 2")

    @property
    def num_features(self) -> int:
        return self.width or max(1, round(self.features_per_example * self.num_train))


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after 1, 10, 100, ... steps."""
    problem = _problem(configs, trials)
    first = [trial.restored["reports"] if trial.restored else 0 for trial in trials]
    for decade in range(min(first), max(config.decades for config in configs) + 1):
        due = [n for n, c in enumerate(configs) if trials[n].wanted and first[n] <= decade <= c.decades]
        if due:
            made = problem.after(decade)
            trials[0].pulse()
            yield {n: _report(configs[n], trials[n], decade, made[n]) for n in due}


def steps(config: Config) -> int:
    """The last step number."""
    return config.decades + 1


def _report(config: Config, trial: Trial, decade: int, made: dict[str, float]) -> Metrics:
    trial.checkpoint(lambda: {"reports": decade + 1})
    if decade == config.decades:
        trial.finish()
    return {"step": decade + 1} | made


def _problem(configs: Sequence[Config], trials: Sequence[Trial]) -> _Problem:
    import torch

    examples = load(configs[0].data)
    made = [_drawn(config, trial, examples) for config, trial in zip(configs, trials, strict=True)]
    features, targets, test, test_labels = (torch.stack(part).to(trials[0].device) for part in zip(*made, strict=True))
    ridge = torch.tensor([config.ridge for config in configs], dtype=torch.float64, device=trials[0].device)
    return _Problem(features, targets, test, test_labels, ridge)


def _drawn(config: Config, trial: Trial, examples: Examples) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and noisy labels of the training examples, then features and labels of the test examples."""
    import torch

    from trainables.training.partition import corrupt

    needed, available = config.num_train + config.num_test, len(examples.labels)
    if needed > available:
        raise ValueError(f"num_train + num_test: got {needed}, expected at most the {available} examples of the data")
    trial.note("data", examples.digest)
    rng = trial.streams.numpy("data")
    rows = rng.permutation(available)[:needed]
    inputs = examples.inputs[rows].reshape(needed, -1).astype("float64")
    inputs = torch.from_numpy(inputs - inputs[: config.num_train].mean(0))
    labels, num_classes = examples.labels[rows], len(examples.classes)
    noisy = corrupt(labels[: config.num_train], config.label_noise, num_classes, rng)
    weights = torch.randn(
        inputs.shape[1], config.num_features, dtype=torch.float64, generator=trial.streams.torch("init")
    )
    features = (inputs @ weights * (2 * inputs.shape[1] ** -0.5)).relu() * config.num_features**-0.5
    targets, test_labels = (
        torch.nn.functional.one_hot(torch.from_numpy(of), num_classes).double() - 1 / num_classes
        for of in (noisy, labels[config.num_train :])
    )
    return features[: config.num_train], targets, features[config.num_train :], test_labels


class _Problem:
    """The least squares of a cohort, taken apart along the singular vectors of the features."""

    def __init__(
        self,
        features: Float[Tensor, "members train width"],
        targets: Float[Tensor, "members train classes"],
        test: Float[Tensor, "members test width"],
        test_targets: Float[Tensor, "members test classes"],
        ridge: Float[Tensor, " members"],
    ) -> None:
        import torch

        left, self._values, right = torch.linalg.svd(features, full_matrices=False)
        self._aims = left.mT @ targets
        self._seen = {"train": left * self._values[:, None], "test": test @ right.mT}
        self._targets = {"train": targets, "test": test_targets}
        self._curvatures = self._values**2 + ridge[:, None]

    def after(self, decade: int) -> list[dict[str, float]]:
        """The metrics of each member after 10 to this power steps."""
        import torch

        weights = gone(self._values, self._curvatures, 10**decade)[..., None] * self._aims
        found = {"weight_norm": torch.linalg.matrix_norm(weights), "least_singular_value": self._values[:, -1]}
        for part, seen in self._seen.items():
            scores, targets = seen @ weights, self._targets[part]
            found[f"error/{part}"] = (scores.argmax(-1) != targets.argmax(-1)).double().mean(-1)
            found[f"squared_error/{part}"] = (scores - targets).square().sum(-1).mean(-1)
        found["log_squared_error/test"] = found["squared_error/test"].log10()
        columns = {name: column.tolist() for name, column in found.items()}
        own = [{name: column[n] for name, column in columns.items()} for n in range(len(weights))]
        return [{"gradient_steps": 10**decade} | metrics for metrics in own]


def gone(
    values: Float[Tensor, "members rank"], curvatures: Float[Tensor, "members rank"], num_steps: int
) -> Float[Tensor, "members rank"]:
    """What each left singular vector's share of the targets is multiplied by to give the weight along the right one.

    Args:
        values: singular values, the largest one first.
        curvatures: their squares, plus the ridge.
        num_steps: of gradient descent.
    """
    import torch

    share = curvatures / curvatures[:, :1]
    way = -torch.expm1(num_steps * torch.log1p(-share))  # (1 - share)^k without loss for small shares
    return torch.where(curvatures > 0, values / curvatures * way, 0.0)

"""Trains a classifier and measures it on train, validation and test examples.

Source: minibatch gradient descent on cross-entropy, the standard recipe; each part names its own source.  Differs: the
test part is fixed by ``split.seed``, while train and validation are drawn anew for every seed of a trial.
Expect: accuracy/test on the digits with the defaults, mean and deviation over seeds 0 to 7: linear 0.979 (0.004), mlp
0.988 (0.003), cnn 0.989 (0.003) (our run, 2026-11-21).  Cost: 0.3 s, 0.4 s and 1.3 s on one CPU core, less in a cohort.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from trainables.api import Diverged, Metrics, PositiveInt, Reports, Trial
from trainables.config import Component
from trainables.data import DataConfig, Split, digits, load
from trainables.models import ModelConfig, mlp
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from trainables.training.examples import StackedPart
    from trainables.training.fitting import Fit

    Measure = Callable[[Fit["Config"], Mapping[str, StackedPart]], Mapping[str, Sequence[float]]]

METRICS = {
    "step": "optimizer steps so far",
    "loss/train": "cross-entropy on the training examples, in nats; without dropout and label smoothing",
    "loss/validation": "cross-entropy on the validation examples, in nats",
    "loss/test": "cross-entropy on the test examples, in nats",
    "accuracy/train": "fraction of the training examples (with their noisy labels, if any) that are classified right",
    "accuracy/validation": "fraction of the validation examples that are classified right",
    "accuracy/test": "fraction of the test examples that are classified right",
    "calibration_error/validation": "expected calibration error in 15 bins, in [0, 1], on the validation examples",
    "calibration_error/test": "expected calibration error in 15 bins, in [0, 1], on the test examples",
    "gradient_norm": "Euclidean norm of the gradient of the last step, without weight decay",
    "parameters": "number of weights and biases",
    "examples_per_second": "training examples per second since the last report, over all workers and its whole cohort",
}
NOT_REPRODUCIBLE = ("examples_per_second",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""
    split: Split = field(default_factory=Split)
    """How it is divided into train, validation and test parts."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture."""
    report_every: PositiveInt = 1
    """Epochs between two reports. The last epoch is always reported."""


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after an epoch. All workers of a trial report the same."""
    yield from train(configs, trials, measure)


def train(configs: Sequence[Config], trials: Sequence[Trial], measure: Measure) -> Iterator[Reports]:
    """``run``, with what is reported beside ``step`` and the speed."""
    config = configs[0]
    fit, parts = begin(configs, trials)
    while going := [n for n, epoch in fit.epochs.items() if trials[n].wanted and epoch < config.epochs]:
        if len(going) < len(fit):
            parts = {name: part.keep(fit.places(going)) for name, part in parts.items()}
            fit.keep(going, parts["train"])
        speed = _advance(fit, config, trials[0])
        yield _reports(fit, config, trials, {**measure(fit, parts), **speed})


def steps(config: Config) -> int:
    """The last step number. Reads the data, once per process."""
    import numpy as np

    from trainables.training.partition import part_rows

    num_examples = len(part_rows(load(config.data), config.split, np.random.default_rng(0))["train"])
    return config.epochs * math.ceil(num_examples / config.batch_size)


def begin(configs: Sequence[Config], trials: Sequence[Trial]) -> tuple[Fit[Config], dict[str, StackedPart]]:
    """The fit of a cohort, at its start or where earlier attempts have left its members, and the parts of the data."""
    from trainables.training import beginning

    parts = beginning.parts(configs, trials)
    return beginning.begin(configs, configs, trials, parts["train"]), parts


def _advance(fit: Fit[Config], config: Config, trial: Trial) -> dict[str, list[float]]:
    """Train up to the next report of some member."""
    began, num_epochs = time.perf_counter(), 0
    while not num_epochs or not any(_is_due(epoch, config) for epoch in fit.epochs.values()):
        fit.run_epoch(trial.pulse)
        num_epochs += 1
    gradient_norms = fit.gradient_norm.tolist()  # waits for the device, too
    rate = num_epochs * fit.train.count * len(fit) / (time.perf_counter() - began)
    return {"gradient_norm": gradient_norms, "examples_per_second": [rate] * len(fit)}


def _is_due(epoch: int, config: Config) -> bool:
    return epoch % config.report_every == 0 or epoch == config.epochs


def measure(fit: Fit[Config], parts: Mapping[str, StackedPart]) -> dict[str, list[float]]:
    """Metric -> its value for each member."""
    from trainables.metrics import accuracy, calibration_error, cross_entropy
    from trainables.training.stacking import each

    metrics: dict[str, list[float]] = {"parameters": [float(fit.stack.parameters.shape[1])] * len(fit)}
    for name, part in parts.items():
        logits = fit.predict(part)
        metrics[f"loss/{name}"] = each(cross_entropy, logits, part.labels).tolist()
        metrics[f"accuracy/{name}"] = each(accuracy, logits, part.labels).tolist()
        if name != "train":
            metrics[f"calibration_error/{name}"] = each(calibration_error, logits.softmax(-1), part.labels).tolist()
    return metrics


def _reports(
    fit: Fit[Config], config: Config, trials: Sequence[Trial], metrics: Mapping[str, Sequence[float]]
) -> dict[int, Metrics | Diverged]:
    reports: dict[int, Metrics | Diverged] = {}
    for place, (number, epoch) in enumerate(fit.epochs.items()):
        if not _is_due(epoch, config):
            continue
        step = epoch * fit.steps_per_epoch
        reports[number] = {"step": step} | {name: values[place] for name, values in metrics.items()}
        if not math.isfinite(loss := metrics["loss/train"][place]):
            reports[number] = Diverged(f"loss/train is {loss} at step {step}")
        trials[number].checkpoint(partial(_state, fit, number))
        if epoch == config.epochs:
            trials[number].finish()
    return reports


def _state(fit: Fit[Config], number: int) -> dict[str, Any]:
    return {"fit": fit.state(number)}

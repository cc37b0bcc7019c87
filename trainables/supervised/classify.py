"""Trains a classifier and measures it on train, validation and test examples.

Source: minibatch gradient descent on cross-entropy, the standard recipe; each part names its own source.  Differs: the
test part is fixed by ``split.seed``, while train and validation are drawn anew for every seed of a trial.
Expect: accuracy/test on the digits with the defaults, mean and deviation over seeds 0 to 7: linear 0.979 (0.003), mlp
0.988 (0.004), cnn 0.987 (0.004) (our run, 2026-11-21).  Cost: 0.2 s, 0.3 s and 2 s on one CPU core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from trainables.api import Diverged, Fraction, Metrics, PerMember, PositiveInt, Trial
from trainables.config import Component
from trainables.data import DataConfig, Split, digits, load
from trainables.models import ModelConfig, mlp
from trainables.training.optimizers import OptimizerConfig, sgd
from trainables.training.schedules import ScheduleConfig, cosine

if TYPE_CHECKING:
    from trainables.training.fitting import Fit, Labelled

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
    "examples_per_second": "training examples per second since the last report, over all workers",
}
NOT_REPRODUCIBLE = ("examples_per_second",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""
    split: Split = field(default_factory=Split)
    """How it is divided into train, validation and test parts."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture."""
    optimizer: Annotated[OptimizerConfig, Component("trainables.training.optimizers")] = field(
        default_factory=sgd.Config
    )
    """The update rule, with its learning rate."""
    schedule: Annotated[ScheduleConfig, Component("trainables.training.schedules")] = field(
        default_factory=cosine.Config
    )
    """How the learning rate changes over the steps."""
    label_smoothing: PerMember[Fraction] = 0.0
    """Share of the target that is spread evenly over all classes (Szegedy et al., 2016, arXiv:1512.00567, sec. 7)."""
    batch_size: PositiveInt = 64
    """Examples in a step, over all workers; the last step of an epoch may have fewer."""
    epochs: PositiveInt = 20
    """Passes over the training examples."""
    report_every: PositiveInt = 1
    """Epochs between two reports. The last epoch is always reported."""


def run_one(config: Config, trial: Trial) -> Iterator[Metrics]:
    """Reports after an epoch. All workers report the same."""
    from trainables.training.fitting import Labelled
    from trainables.training.partition import partition

    examples = load(config.data)
    trial.note("data", examples.digest)
    arrays = partition(examples, config.split, trial.streams.numpy("data"))
    parts = {name: Labelled.place(part, trial.device) for name, part in arrays.items()}
    fit = _fit(config, trial, parts["train"], len(examples.classes))
    while fit.epoch < config.epochs:
        report = _advance(fit, config) | _measure(fit, parts)
        if not math.isfinite(report["loss/train"]):
            raise Diverged(f"loss/train is {report['loss/train']} at step {fit.step}")
        trial.checkpoint(partial(_state, fit, trial))
        yield report


def steps(config: Config) -> int:
    """The last step number. Reads the data, once per process."""
    import numpy as np

    from trainables.training.partition import part_rows

    num_examples = len(part_rows(load(config.data), config.split, np.random.default_rng(0))["train"])
    return config.epochs * math.ceil(num_examples / config.batch_size)


def _fit(config: Config, trial: Trial, train: Labelled, num_classes: int) -> Fit:
    """A fit at its start, or where an earlier attempt left it."""
    from trainables.training.fitting import Fit, Recipe
    from trainables.training.layers import Noise

    noise = Noise(trial.streams.torch("dropout", trial.device))
    shape = tuple(train.inputs.shape[1:])
    model = config.model.build(shape, num_classes, trial.streams.torch("init"), noise).to(trial.device)
    recipe = Recipe(
        batch_size=config.batch_size,
        epochs=config.epochs,
        schedule=config.schedule.factor,
        label_smoothing=config.label_smoothing,
    )
    optimizer = config.optimizer.build(model.parameters())
    worker = (trial.rank, trial.world_size)
    fit = Fit(model, optimizer, recipe, train, trial.streams.torch("order"), noise, worker)
    if trial.restored:
        fit.load_state(trial.restored["fit"])
        trial.streams.load_state_dict(trial.restored["streams"])
    return fit


def _state(fit: Fit, trial: Trial) -> dict[str, Any]:
    return {"fit": fit.state(), "streams": trial.streams.state_dict()}


def _advance(fit: Fit, config: Config) -> dict[str, float]:
    """Train up to the next report."""
    from trainables.metrics import norm

    began, first = time.perf_counter(), fit.epoch
    while fit.epoch == first or (fit.epoch % config.report_every and fit.epoch < config.epochs):
        fit.run_epoch()
    gradient_norm = norm(fit.gradients())  # waits for the device, too
    rate = (fit.epoch - first) * len(fit.train.labels) / (time.perf_counter() - began)
    return {"step": fit.step, "gradient_norm": gradient_norm, "examples_per_second": rate}


def _measure(fit: Fit, parts: dict[str, Labelled]) -> dict[str, float]:
    from torch.nn import functional

    from trainables.metrics import accuracy, calibration_error
    from trainables.training.fitting import predict

    metrics: dict[str, float] = {"parameters": sum(p.numel() for p in fit.model.parameters())}
    for name, part in parts.items():
        logits = predict(fit.model, part.inputs)
        metrics[f"loss/{name}"] = functional.cross_entropy(logits, part.labels).item()
        metrics[f"accuracy/{name}"] = accuracy(logits, part.labels)
        if name != "train":
            metrics[f"calibration_error/{name}"] = calibration_error(logits.softmax(1), part.labels)
    return metrics

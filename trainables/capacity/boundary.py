"""Where two networks draw the boundaries between classes: how alike, in how many pieces, and how far from the inputs.

A trial trains two networks on the same examples, with the same noisy labels, from other initial weights and in another
order of the batches, and compares their decisions on planes through triplets of examples. Seeds change all of it:
examples, noise, planes and both networks. Trials of one seed share examples, noise and planes, whatever the model.
Source: Somepalli et al., 2022, arXiv:2203.08124.  Differs: the source compares all pairs of a few networks on one
data set; here each pair is independent, so that there are intervals over seeds.
Expect: on digits with a fifth of the labels wrong, one hidden layer of 8, 64 and 512, Adam, 300 epochs: reproducibility
0.69, 0.66 and 0.83; fragmentation 4.8, 6.0 and 4.9; error/test 0.13, 0.20 and 0.13 (sweep boundary-width, our run,
2026-11-28).  Cost: 3 s a trial on one CPU core, in cohorts of eight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated

from trainables.api import Diverged, Metrics, PositiveInt, Reports, Trial
from trainables.capacity.slicing import Slicing
from trainables.config import Component
from trainables.data import DataConfig, Split, digits, load
from trainables.models import ModelConfig, mlp
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from trainables.capacity.decisions import Decisions
    from trainables.capacity.pairs import Pairs
    from trainables.capacity.slices import Slices
    from trainables.training.examples import StackedPart
    from trainables.training.fitting import Fit

METRICS = {
    "step": "optimizer steps of each network so far",
    "loss/train": "cross-entropy on the training examples (with their noisy labels, if any), in nats",
    "error/train": "fraction of these that are classified wrong; mean of the two networks, as all but reproducibility",
    "error/validation": "fraction of the validation examples that are classified wrong",
    "error/test": "fraction of the test examples that are classified wrong",
    "reproducibility": "share of the points on the planes that both networks put into the same class",
    "reproducibility/above_chance": "Cohen's kappa of the same: 0 as by chance, 1 the same everywhere",
    "fragmentation": "connected regions of one class on a plane, mean over planes",
    "margin": "distance of test examples to the boundary towards other examples, in units of the inputs as networks "
    "see them; mean over those that meet it within twice the way; twice the mean way if none does",
    "parameters": "number of weights and biases",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""
    split: Split = field(default_factory=Split)
    """How it is divided into train, validation and test parts."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture of the first network."""
    rival: Annotated[ModelConfig | None, Component("trainables.models", optional=True)] = None
    """The architecture of the second network. null: that of the first."""
    planes: Slicing = field(default_factory=Slicing)
    """Where decisions are looked at."""
    batch_size: PositiveInt = 128
    """Examples in a step, over all workers."""
    report_every: PositiveInt = 2
    """Epochs between two reports. A look at the planes may cost as much as many epochs. The last is always reported."""


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after every so many epochs."""
    from trainables.capacity.pairs import Pairs
    from trainables.capacity.slices import slices
    from trainables.training.beginning import parts

    config, divided = configs[0], parts(configs, trials)
    looks = slices(divided, load(config.data), config.planes, [trial.seed for trial in trials])
    pairs = Pairs(configs, [(c.model, c.rival or c.model) for c in configs], trials, divided["train"])
    while going := [n for n, epoch in pairs.epochs.items() if trials[n].wanted and epoch < config.epochs]:
        if len(going) < len(pairs.epochs):
            divided = {name: part.keep(pairs.fits[0].places(going)) for name, part in divided.items()}
            pairs.keep(going, divided["train"])
        _advance(pairs, config, trials[0])
        measured = _measure(pairs, divided, [looks[n] for n in pairs.epochs], config)
        due = [(n, place) for place, (n, epoch) in enumerate(pairs.epochs.items()) if _is_due(epoch, config)]
        _show(pairs, looks, config, trials)
        yield {n: _report(pairs, n, config, trials[n], measured[place]) for n, place in due}


def steps(config: Config) -> int:
    """The last step number. Reads the data, once per process."""
    import numpy as np

    from trainables.training.partition import part_rows

    num_examples = len(part_rows(load(config.data), config.split, np.random.default_rng(0))["train"])
    return config.epochs * math.ceil(num_examples / config.batch_size)


def _advance(pairs: Pairs[Config], config: Config, trial: Trial) -> None:
    """Train up to the next report of some trial."""
    pairs.run_epoch(trial.pulse)
    while not any(_is_due(epoch, config) for epoch in pairs.epochs.values()):
        pairs.run_epoch(trial.pulse)


def _is_due(epoch: int, config: Config) -> bool:
    return epoch % config.report_every == 0 or epoch == config.epochs


def _measure(
    pairs: Pairs[Config], divided: Mapping[str, StackedPart], looks: Sequence[Slices], config: Config
) -> list[dict[str, float]]:
    """Of each trial, all that it reports but the step."""
    from trainables.capacity.decisions import compare

    fitted = [_fitted(fit, divided) for fit in pairs.fits]
    means = [{name: (one[name] + other[name]) / 2 for name in one} for one, other in zip(*fitted, strict=True)]
    decided = compare(_decisions(pairs), looks, config.planes)
    size = {"parameters": pairs.num_parameters}
    return [mean | own | size for mean, own in zip(means, decided, strict=True)]


def _decisions(pairs: Pairs[Config]) -> list[Decisions]:
    from trainables.capacity.decisions import Decisions

    return [Decisions(fit, tuple(fit.train.inputs.shape[1:])) for fit in pairs.fits]


def _fitted(fit: Fit[Config], divided: Mapping[str, StackedPart]) -> list[dict[str, float]]:
    """Of each network, its loss and its errors."""
    from trainables.metrics import accuracy, cross_entropy
    from trainables.training.stacking import each

    found = {}
    for name, part in divided.items():
        logits = fit.predict(part)
        found[f"error/{name}"] = (1 - each(accuracy, logits, part.labels)).tolist()
        if name == "train":
            found["loss/train"] = each(cross_entropy, logits, part.labels).tolist()
    return [{name: values[place] for name, values in found.items()} for place in range(len(fit))]


def _show(pairs: Pairs[Config], looks: Mapping[int, Slices], config: Config, trials: Sequence[Trial]) -> None:
    """Pictures of the trials that are at their end."""
    from trainables.capacity.decisions import portraits

    if not config.planes.picture or config.epochs not in pairs.epochs.values():
        return
    made = portraits(_decisions(pairs), [looks[n] for n in pairs.epochs], config.planes)
    for picture, (number, epoch) in zip(made, pairs.epochs.items(), strict=True):
        if epoch == config.epochs:
            trials[number].image("decisions", picture)


def _report(pairs: Pairs[Config], number: int, config: Config, trial: Trial, measured: Metrics) -> Metrics | Diverged:
    """The metrics of a trial; its state is offered."""
    epoch, step = pairs.epochs[number], pairs.epochs[number] * pairs.steps_per_epoch
    if not math.isfinite(loss := measured["loss/train"]):
        return Diverged(f"loss/train is {loss} at step {step}")
    trial.checkpoint(partial(pairs.state, number))
    if epoch == config.epochs:
        trial.finish()
    return {"step": step, **measured}

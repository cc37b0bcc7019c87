"""How long a classifier takes to fit its training examples, and how long until it classifies others as well.

Shows grokking, where the second comes long after the first, and memorisation, where it never comes.

Source: Power et al., 2022, arXiv:2201.02177 (grokking); Zhang et al., 2017, arXiv:1611.03530 (random labels).  Differs:
accuracies are taken every ``report_every`` epochs, so that times are multiples of that.
Expect: epochs_to_fit 10 with right labels and 77 with random ones on 1000 digits, width 64 (sweep random-labels, our
run, 2026-11-21).  Cost: 1 s and 10 s on one CPU core.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from trainables.api import Diverged, Fraction, Metrics, PositiveInt, Reports, Trial
from trainables.config import Component
from trainables.data import DataConfig, Split, digits, load
from trainables.models import ModelConfig, mlp
from trainables.training.recipe import Recipe

if TYPE_CHECKING:
    from trainables.training.examples import StackedPart
    from trainables.training.fitting import Fit

METRICS = {
    "step": "optimizer steps so far",
    "loss/train": "cross-entropy on the training examples, in nats",
    "loss/test": "cross-entropy on the test examples, in nats",
    "accuracy/train": "fraction of the training examples (with their noisy labels, if any) that are classified right",
    "accuracy/test": "fraction of the test examples that are classified right",
    "fitted": "1 if accuracy/train has reached fit_at, else 0",
    "generalised": "1 if accuracy/test has reached generalise_at, else 0",
    "epochs_to_fit": "epochs until it was fitted; as many as there were so far if it is not",
    "epochs_to_generalise": "epochs until it generalised; as many as there were so far if it has not",
    "delay": "logarithm to base 10 of epochs_to_generalise over epochs_to_fit",
}
_TIMES = {"fit": "fitted", "generalise": "generalised"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Recipe):
    data: Annotated[DataConfig, Component("trainables.data")] = field(default_factory=digits.Config)
    """What is classified."""
    split: Split = field(default_factory=Split)
    """How it is divided. The validation part is not used."""
    model: Annotated[ModelConfig, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture."""
    fit_at: Fraction = 1.0
    """The least accuracy/train that counts as fitted."""
    generalise_at: Fraction = 0.95
    """The least accuracy/test that counts as generalised."""
    until: Literal["the end", "fitted", "both"] = "the end"
    """When a trial ends before its last epoch: when it is fitted, or fitted and generalised."""
    report_every: PositiveInt = 1
    """Epochs between two reports. The last epoch is always reported."""


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after an epoch."""
    from trainables.training.beginning import begin, parts

    config, divided = configs[0], parts(configs, trials)
    fit = begin(configs, configs, trials, divided["train"])
    times = [dict(trial.restored["times"]) if trial.restored else {} for trial in trials]
    ended = {n for n, reached in enumerate(times) if _is_over(config, reached)}
    while going := [n for n, e in fit.epochs.items() if trials[n].wanted and n not in ended and e < config.epochs]:
        if len(going) < len(fit):
            divided = {name: part.keep(fit.places(going)) for name, part in divided.items()}
            fit.keep(going, divided["train"])
        _advance(fit, config, trials[0])
        measured = _measure(fit, divided)
        due = {n: place for place, (n, epoch) in enumerate(fit.epochs.items()) if _is_due(epoch, config)}
        reports = {n: _report(fit, n, config, measured[place], times[n]) for n, place in due.items()}
        ended |= {n for n in due if _offer(fit, n, config, trials[n], times[n])}
        yield reports


def steps(config: Config) -> int:
    """The last step number, if no trial ends before. Reads the data, once per process."""
    import numpy as np

    from trainables.training.partition import part_rows

    num_examples = len(part_rows(load(config.data), config.split, np.random.default_rng(0))["train"])
    return config.epochs * math.ceil(num_examples / config.batch_size)


def _advance(fit: Fit[Config], config: Config, trial: Trial) -> None:
    """Train up to the next report of some member."""
    fit.run_epoch(trial.pulse)
    while not any(_is_due(epoch, config) for epoch in fit.epochs.values()):
        fit.run_epoch(trial.pulse)


def _is_due(epoch: int, config: Config) -> bool:
    return epoch % config.report_every == 0 or epoch == config.epochs


def _measure(fit: Fit[Config], divided: Mapping[str, StackedPart]) -> list[dict[str, float]]:
    """Of each member, its losses and accuracies."""
    from trainables.metrics import accuracy, cross_entropy
    from trainables.training.stacking import each

    found = {}
    for name in ("train", "test"):
        logits, labels = fit.predict(divided[name]), divided[name].labels
        found[f"loss/{name}"] = each(cross_entropy, logits, labels).tolist()
        found[f"accuracy/{name}"] = each(accuracy, logits, labels).tolist()
    return [{name: values[place] for name, values in found.items()} for place in range(len(fit))]


def _report(
    fit: Fit[Config], number: int, config: Config, measured: Metrics, times: dict[str, int]
) -> Metrics | Diverged:
    """The metrics of a member; ``times`` learns what it has reached."""
    epoch, step = fit.epochs[number], fit.epochs[number] * fit.steps_per_epoch
    if not math.isfinite(loss := measured["loss/train"]):
        return Diverged(f"loss/train is {loss} at step {step}")
    for name, reached in (
        ("fit", measured["accuracy/train"] >= config.fit_at),
        ("generalise", measured["accuracy/test"] >= config.generalise_at),
    ):
        if reached:
            times.setdefault(name, epoch)
    flags = {flag: int(name in times) for name, flag in _TIMES.items()}
    epochs = {f"epochs_to_{name}": times.get(name, epoch) for name in _TIMES}
    delay = math.log10(epochs["epochs_to_generalise"] / epochs["epochs_to_fit"])
    return {"step": step, **measured, **flags, **epochs, "delay": delay}


def _is_over(config: Config, times: Mapping[str, int]) -> bool:
    """Whether a trial with these times ends, whatever its epoch."""
    wanted = {"the end": None, "fitted": {"fit"}, "both": {"fit", "generalise"}}[config.until]
    return wanted is not None and wanted <= times.keys()


def _offer(fit: Fit[Config], number: int, config: Config, trial: Trial, times: Mapping[str, int]) -> bool:
    """Offer the state with the report; whether it is the last one."""
    trial.checkpoint(partial(_state, fit, number, times))
    over = fit.epochs[number] == config.epochs or _is_over(config, times)
    if over:
        trial.finish()
    return over


def _state(fit: Fit[Config], number: int, times: Mapping[str, int]) -> dict[str, Any]:
    return {"fit": fit.state(number), "times": dict(times)}

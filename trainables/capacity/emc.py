"""Effective model complexity: the largest sample that training fits to the last example.

Sample sizes grow; the samples are nested, and each gets a fresh network. It trains until all of its sample is right at
rest, or it has settled elsewhere (flat loss, no gradient, no direction of negative curvature if asked for), or its
budget is spent.
Source: Shwartz-Ziv et al., 2024, arXiv:2406.11463, after Nakkiran et al., 2020, arXiv:1912.02292, def. 1.  Differs: a
size counts as fitted at the first look that finds it so; sizes grow by a factor; two failures in a row end the search.
Expect: with random labels on the digits and 1200 updates, about 680 parameters, growth 1.4: perceptron 0.11 of its
parameters, transformer 0.22, convolution 0.34; with true labels the perceptron 0.63 (five seeds, our run, 2026-11-21).
Cost: 2 to 4 s a trial on one CPU core, in cohorts of five.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainables.api import Fraction, Metrics, PerMember, Reports, Trial
from trainables.capacity.climbing import Climbing
from trainables.data import load

if TYPE_CHECKING:
    from trainables.capacity.ladder import Ladder
    from trainables.capacity.rung import Outcome

METRICS = {
    "step": "sample size that was tried",
    "fitted": "1 if it was fitted, otherwise 0",
    "emc": "largest sample size so far that was fitted; 0 if none was",
    "log_emc": "natural logarithm of emc, of 1 if that is 0",
    "emc_per_parameter": "emc over the number of parameters",
    "parameters": "number of weights and biases",
    "censored": "1 if all examples that there are were fitted, so that emc is only a lower bound, otherwise 0",
    "steps_to_fit": "optimizer steps at the largest sample size that was fitted; 0 if none was",
    "budget_used": "steps_to_fit over the most steps at that size: near 1, a larger budget would fit more",
    "unsettled": "sizes so far that failed although the network still moved when its budget was spent",
    "gradient_ratio": "norm of the gradient at rest over that at the start, at the last failed size; 1 if none did",
    "curvature_ratio": "smallest eigenvalue of the Hessian over the largest, there; 0 without check_minimum",
    "loss/train": "mean loss at rest at this sample size, in units of the recipe's loss",
    "accuracy/train": "fraction of this sample that is classified right, at rest",
    "accuracy/test": "fraction of the test part that is classified right, after training on this sample",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Climbing):
    random_labels: PerMember[Fraction] = 1.0
    """Fraction of the labels that are drawn anew, evenly from all classes: 1 for random labels, 0 for those of the
    data. Test labels are never changed."""


@dataclass(frozen=True, kw_only=True)
class _Climb:
    """How far a trial is, and what it will tell about that."""

    ladder: Ladder
    unsettled: int = 0
    steps_to_fit: int = 0
    budget_used: float = 0.0
    gradient_ratio: float = 1.0
    curvature_ratio: float = 0.0

    def after(self, outcome: Outcome, budget: int) -> _Climb:
        ladder = self.ladder.climbed(outcome.fitted)
        if outcome.fitted:
            return replace(self, ladder=ladder, steps_to_fit=outcome.steps, budget_used=outcome.steps / budget)
        ratios = {"gradient_ratio": outcome.gradient_ratio, "curvature_ratio": outcome.curvature_ratio}
        return replace(self, ladder=ladder, unsettled=self.unsettled + (not outcome.settled), **ratios)

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _TOLD} | {"ladder": self.ladder.state()}

    def at(self, state: Any) -> _Climb:
        """The same climb, where an earlier attempt has come to."""
        return replace(self, ladder=self.ladder.at(state["ladder"]), **{name: state[name] for name in _TOLD})


_TOLD = ("unsettled", "steps_to_fit", "budget_used", "gradient_ratio", "curvature_ratio")


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after each sample size. The smallest size that some trial is at comes first."""
    from trainables.capacity import rung, samples

    examples = load(configs[0].data)
    pools = [
        samples.pool(examples, config.test_fraction, config.random_labels, trial.seed)
        for config, trial in zip(configs, trials, strict=True)
    ]
    parts = samples.stacked(pools, examples, trials[0].device)
    climbs = {number: _begun(config, trials[number], parts["train"].count) for number, config in enumerate(configs)}
    for trial in trials:
        trial.note("data", examples.digest)
    while going := [n for n, climb in climbs.items() if trials[n].wanted and not climb.ladder.over]:
        size = min(climbs[n].ladder.size for n in going)
        here = [n for n in going if climbs[n].ladder.size == size]
        own, seeds = [configs[n] for n in here], [trials[n].seed for n in here]
        outcomes = rung.train(own, seeds, samples.first(parts, here, size), trials[0].device, trials[0].pulse)
        yield {n: _report(climbs, n, trials[n], outcome, configs[n]) for n, outcome in zip(here, outcomes, strict=True)}


def steps(config: Config) -> int:
    """The last sample size. Reads the data, once per process."""
    from trainables.capacity import samples

    pool = samples.pool(load(config.data), config.test_fraction, 0.0, 0)
    return config.ladder(len(pool["train"].rows)).sizes[-1]


def _begun(config: Config, trial: Trial, num_examples: int) -> _Climb:
    climb = _Climb(ladder=config.ladder(num_examples))
    return climb.at(trial.restored) if trial.restored else climb


def _report(climbs: dict[int, _Climb], number: int, trial: Trial, outcome: Outcome, config: Config) -> Metrics:
    size = climbs[number].ladder.size
    most = config.passes(size) * math.ceil(size / config.batch_size)
    climb = climbs[number] = climbs[number].after(outcome, most)
    trial.checkpoint(climb.state)
    if climb.ladder.over:
        trial.finish()
    tested = {} if outcome.test_accuracy is None else {"accuracy/test": outcome.test_accuracy}
    return {"step": size, **_metrics(climb, outcome), **tested}


def _metrics(climb: _Climb, outcome: Outcome) -> dict[str, float]:
    emc = climb.ladder.largest
    return {
        "fitted": float(outcome.fitted),
        "emc": float(emc),
        "log_emc": math.log(max(emc, 1)),
        "emc_per_parameter": emc / outcome.parameters,
        "parameters": float(outcome.parameters),
        "censored": float(climb.ladder.censored),
        "loss/train": outcome.loss,
        "accuracy/train": outcome.accuracy,
        **{name: float(getattr(climb, name)) for name in _TOLD},
    }

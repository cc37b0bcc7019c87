"""How many more true labels than random ones a network fits, beside how well it generalises from one sample.

First a network is trained on a sample with the labels of the data and tested; then both capacities are measured as in
``capacity.emc``.
Source: Shwartz-Ziv et al., 2024, arXiv:2406.11463, on the prediction of generalisation.
Cost: twice that of ``capacity.emc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainables.api import Metrics, PositiveInt, Reports, Trial
from trainables.capacity.climbing import Climbing
from trainables.data import load

if TYPE_CHECKING:
    from trainables.capacity.ladder import Ladder
    from trainables.capacity.rung import Outcome
    from trainables.training.examples import StackedPart

METRICS = {
    "step": "sample sizes that were tried so far: the sample, then true labels, then random ones",
    "emc/true": "largest sample size so far that was fitted with the labels of the data; 0 if none was",
    "emc/random": "largest sample size so far that was fitted with random labels; 0 if none was",
    "capacity_gap": "emc/true minus emc/random",
    "censored": "1 if all true labels that there are were fitted, so that the gap is only a lower bound, otherwise 0",
    "parameters": "number of weights and biases",
    "accuracy/train": "fraction of the sample that is classified right after training on it",
    "accuracy/test": "fraction of the test part that is classified right after training on the sample",
    "generalisation_gap": "accuracy/train minus accuracy/test",
}
_TASKS = {"sample": 0.0, "true": 0.0, "random": 1.0}  # with which fraction of random labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Climbing):
    sample: PositiveInt = 50
    """Examples that the generalisation is measured with; fewer, if there are fewer."""

    def __post_init__(self) -> None:
        if self.test_fraction == 0:
            raise ValueError("test_fraction: got 0, expected more, as generalisation is measured")


@dataclass(frozen=True, kw_only=True)
class _Progress:
    ladders: dict[str, Ladder]
    train: float = 0.0
    test: float = 0.0

    @property
    def task(self) -> str | None:
        """What comes next."""
        return next((name for name, ladder in self.ladders.items() if not ladder.over), None)

    @property
    def tries(self) -> int:
        return sum(ladder.tried for ladder in self.ladders.values())

    def after(self, task: str, outcome: Outcome) -> _Progress:
        ladders = self.ladders | {task: self.ladders[task].climbed(outcome.fitted)}
        if task != "sample":
            return replace(self, ladders=ladders)
        assert outcome.test_accuracy is not None, "there is a test part"
        return replace(self, ladders=ladders, train=outcome.accuracy, test=outcome.test_accuracy)

    def state(self) -> dict[str, Any]:
        ladders = {name: ladder.state() for name, ladder in self.ladders.items()}
        return {"ladders": ladders, "train": self.train, "test": self.test}

    def at(self, state: Any) -> _Progress:
        ladders = {name: ladder.at(state["ladders"][name]) for name, ladder in self.ladders.items()}
        return _Progress(ladders=ladders, train=state["train"], test=state["test"])


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after each sample size. The trials that are furthest behind come first."""
    from trainables.capacity import rung, samples

    device = trials[0].device
    parts = {task: _parts(configs, trials, fraction) for task, fraction in _TASKS.items()}
    progress = {n: _begun(config, trials[n], parts["true"]["train"].count) for n, config in enumerate(configs)}
    while going := [n for n, trial in enumerate(trials) if trial.wanted and progress[n].task]:
        task, size = min((_next(progress[n]) for n in going), key=lambda pair: (list(_TASKS).index(pair[0]), pair[1]))
        here = [n for n in going if _next(progress[n]) == (task, size)]
        own, seeds = [configs[n] for n in here], [trials[n].seed for n in here]
        outcomes = rung.train(own, seeds, samples.first(parts[task], here, size), device, trials[0].pulse)
        for n, outcome in zip(here, outcomes, strict=True):
            progress[n] = progress[n].after(task, outcome)
        yield {n: _report(progress[n], trials[n], outcome) for n, outcome in zip(here, outcomes, strict=True)}


def steps(config: Config) -> int:
    """The most sample sizes. Reads the data, once per process."""
    from trainables.capacity import samples

    pool = samples.pool(load(config.data), config.test_fraction, 0.0, 0)
    return 1 + 2 * len(config.ladder(len(pool["train"].rows)).sizes)


def _parts(configs: Sequence[Config], trials: Sequence[Trial], random_labels: float) -> dict[str, StackedPart]:
    from trainables.capacity import samples

    examples = load(configs[0].data)
    for trial in trials:
        trial.note("data", examples.digest)
    pools = [samples.pool(examples, configs[0].test_fraction, random_labels, trial.seed) for trial in trials]
    return samples.stacked(pools, examples, trials[0].device)


def _begun(config: Config, trial: Trial, num_examples: int) -> _Progress:
    ladder = config.ladder(num_examples)
    once = replace(ladder, sizes=(min(config.sample, num_examples),))
    begun = _Progress(ladders={"sample": once, "true": ladder, "random": ladder})
    return begun.at(trial.restored) if trial.restored else begun


def _next(progress: _Progress) -> tuple[str, int]:
    assert progress.task, "it goes on"
    return progress.task, progress.ladders[progress.task].size


def _report(progress: _Progress, trial: Trial, outcome: Outcome) -> Metrics:
    trial.checkpoint(progress.state)
    if not progress.task:
        trial.finish()
    true, random = progress.ladders["true"], progress.ladders["random"]
    return {
        "step": progress.tries,
        "emc/true": float(true.largest),
        "emc/random": float(random.largest),
        "capacity_gap": float(true.largest - random.largest),
        "censored": float(true.censored),
        "parameters": float(outcome.parameters),
        "accuracy/train": progress.train,
        "accuracy/test": progress.test,
        "generalisation_gap": progress.train - progress.test,
    }

"""How a cohort of classifiers begins: data are divided, networks built, what earlier attempts have left is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from trainables.api import Trial
from trainables.data import DataConfig, Split, load
from trainables.models import ModelConfig
from trainables.training.examples import StackedPart, place
from trainables.training.fitting import Fit
from trainables.training.partition import of_seed
from trainables.training.recipe import Recipe


class Task(Protocol):
    """What is fitted, as part of a ``Recipe``."""

    @property
    def data(self) -> DataConfig: ...

    @property
    def split(self) -> Split: ...

    @property
    def model(self) -> ModelConfig: ...


R = TypeVar("R", bound=Recipe)


def parts(configs: Sequence[Task], trials: Sequence[Trial]) -> dict[str, StackedPart]:
    """The train, validation and test parts of all members, who share the data and divide them each in its own way."""
    examples = load(configs[0].data)
    for trial in trials:
        trial.note("data", examples.digest)
    pairs = zip(configs, trials, strict=True)
    divided = [of_seed(examples, config.split, trial.seed) for config, trial in pairs]
    return place(examples, divided, trials[0].device)


def begin(configs: Sequence[R], tasks: Sequence[Task], trials: Sequence[Trial], train: StackedPart) -> Fit[R]:
    """A fit at its start, or where the states ``fit`` of earlier attempts have left its members.

    ``configs`` and ``tasks`` are the same objects, which have both types.
    """
    shape = tuple(train.inputs.shape[1:])
    pairs = zip(tasks, trials, strict=True)
    networks = [task.model.build(shape, train.num_classes, trial.streams.torch("init")) for task, trial in pairs]
    worker = (trials[0].rank, trials[0].world_size)
    fit = Fit(configs, networks, train, [trial.seed for trial in trials], device=trials[0].device, worker=worker)
    for number, trial in enumerate(trials):
        if trial.restored:
            fit.load_state(number, trial.restored["fit"])
    return fit

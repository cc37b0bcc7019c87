"""Two networks for each trial, trained on the same examples from other beginnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from trainables.api import Trial
from trainables.models import ModelConfig
from trainables.seeding import Streams, stream_seed
from trainables.training.examples import StackedPart
from trainables.training.fitting import Fit
from trainables.training.recipe import Recipe

R = TypeVar("R", bound=Recipe)


class Pairs(Generic[R]):
    """The pairs of a cohort on their way: a fit of all first networks, and one of all second ones.

    What the second network draws (weights, order of the batches, dropout) comes from streams of its own.
    """

    def __init__(
        self,
        configs: Sequence[R],
        models: Sequence[tuple[ModelConfig, ModelConfig]],
        trials: Sequence[Trial],
        train: StackedPart,
    ) -> None:
        """``models`` are the two architectures of each trial."""
        shape, device = tuple(train.inputs.shape[1:]), trials[0].device
        worker = (trials[0].rank, trials[0].world_size)
        self.fits: list[Fit[R]] = []
        for number, side in enumerate(zip(*models, strict=True)):
            seeds = [seed_of(trial.seed, number) for trial in trials]
            networks = [
                model.build(shape, train.num_classes, Streams(seed).torch("init"))
                for model, seed in zip(side, seeds, strict=True)
            ]
            self.fits.append(Fit(configs, networks, train, seeds, device=device, worker=worker))
        for number, trial in enumerate(trials):
            for fit, state in zip(self.fits, trial.restored["fits"] if trial.restored else (), strict=False):
                fit.load_state(number, state)

    @property
    def epochs(self) -> Mapping[int, int]:
        """How far each trial is, by its number."""
        return self.fits[0].epochs

    @property
    def num_parameters(self) -> float:
        """Mean over the two networks."""
        return sum(fit.stack.parameters.shape[1] for fit in self.fits) / 2

    @property
    def steps_per_epoch(self) -> int:
        return self.fits[0].steps_per_epoch

    def run_epoch(self, pulse: Callable[[], None]) -> None:
        for fit in self.fits:
            fit.run_epoch(pulse)

    def keep(self, numbers: Sequence[int], train: StackedPart) -> None:
        """Drop all other trials; ``train`` is what is left of the examples."""
        for fit in self.fits:
            fit.keep(numbers, train)

    def state(self, number: int) -> dict[str, Any]:
        return {"fits": [fit.state(number) for fit in self.fits]}


def seed_of(seed: int, side: int) -> int:
    """The seed of the first network of a trial is that of the trial."""
    return stream_seed(seed, "second network") if side else seed

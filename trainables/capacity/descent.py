"""Gradient descent on all examples at once, watched step by step: the losses of the examples, and the sharpness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from trainables.api import Diverged, Metrics, Trial
from trainables.capacity.descending import Descending
from trainables.metrics import accuracy
from trainables.probes.hessian import extreme_eigenvalues
from trainables.training import draws
from trainables.training.beginning import Task, begin, parts
from trainables.training.losses import RememberingLossConfig
from trainables.training.stacking import each

_ROUNDS = 12  # of Lanczos iteration: enough for the largest eigenvalue, which stands apart


class Descent:
    """A cohort on its way. ``numbers`` are its members, by their place in what ``run`` was given."""

    def __init__(self, configs: Sequence[Descending], tasks: Sequence[Task], trials: Sequence[Trial]) -> None:
        """``configs`` and ``tasks`` are the same objects, which have both types."""
        self.parts = parts(tasks, trials)
        self.fit = begin(configs, tasks, trials, self.parts["train"])
        if self.fit.steps_per_epoch != 1:
            got = self.fit.recipe.batch_size
            raise ValueError(f"batch_size: got {got}, expected all {self.fit.train.count} training examples")
        self._configs, self._trials = configs, trials
        self._increases = [trial.restored["increases"] if trial.restored else 0 for trial in trials]

    @property
    def numbers(self) -> list[int]:
        return list(self.fit.epochs)

    def goes_on(self) -> bool:
        """Let go of the members that have ended; whether any is left."""
        last = self._configs[0].epochs
        going = [n for n, step in self.fit.epochs.items() if self._trials[n].wanted and step < last]
        if going and len(going) < len(self.fit):
            places = self.fit.places(going)
            self.parts = {name: part.keep(places) for name, part in self.parts.items()}
            self.fit.keep(going, self.parts["train"])
        return bool(going)

    def steps(self) -> Iterator[Float[Tensor, "members examples"]]:
        """Go on to the next report; after each step, how the loss of each training example has changed."""
        before = self.losses()
        for _ in range(self._configs[0].report_every):
            self.fit.run_epoch(self._trials[0].pulse)
            after = self.losses()
            for number, worse in zip(self.numbers, (after.mean(1) > before.mean(1)).tolist(), strict=True):
                self._increases[number] += worse
            yield after - before
            before = after

    def reports(self, more: Sequence[Mapping[str, float]]) -> dict[int, Metrics | Diverged]:
        """What the members report, with ``more`` metrics for each; their states are offered."""
        measured = self._measure()
        own = [{name: values[place] for name, values in measured.items()} for place in range(len(self.fit))]
        triples = zip(self.numbers, own, more, strict=True)
        return {number: self._report(number, {**metrics, **added}) for number, metrics, added in triples}

    def _report(self, number: int, metrics: Mapping[str, float]) -> Metrics | Diverged:
        trial, config, step = self._trials[number], self._configs[number], self.fit.epochs[number]
        if not math.isfinite(loss := metrics["loss/train"]):
            return Diverged(f"loss/train is {loss} at step {step}")
        trial.checkpoint(partial(self._state, number))
        if step == config.epochs:
            trial.finish()
        ratio = metrics["sharpness"] / config.edge
        return {"step": step, **metrics, "sharpness_ratio": ratio, "loss_increases": self._increases[number]}

    def _state(self, number: int) -> dict[str, Any]:
        return {"fit": self.fit.state(number), "increases": self._increases[number]}

    def _measure(self) -> dict[str, list[float]]:
        found = {"loss/train": self.losses().mean(1).tolist(), "sharpness": self.sharpness().tolist()}
        for name in ("train", "test"):
            part = self.parts[name]
            found[f"accuracy/{name}"] = each(accuracy, self.fit.predict(part), part.labels).tolist()
        return found

    def losses(self) -> Float[Tensor, "members examples"]:
        """Of each training example."""
        return each(self._loss, self.fit.predict(self.fit.train), self.fit.train.labels)

    def sharpness(self) -> Float[Tensor, " members"]:
        """The largest eigenvalue of the Hessian of the mean loss. All members begin their iteration at one vector."""
        parameters, inputs = self.fit.stack.parameters, self.fit.train.chunk(0, self.fit.train.count)
        key = draws.key_of(0, "sharpness").to(parameters.device)
        start = draws.normal(key, key, parameters.shape[1:]).expand_as(parameters)

        def product(vectors: Tensor) -> Tensor:
            product = self.fit.stack.curve(self._mean_loss, vectors, inputs, self.fit.train.labels)[1]
            return product.nan_to_num(0, 0, 0)  # of a member that has diverged, which would spoil the others

        return extreme_eigenvalues(product, start, _ROUNDS)[1]

    def _mean_loss(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> Float[Tensor, ""]:
        return self._loss(network(inputs), labels).mean()

    @property
    def _loss(self) -> Callable[[Tensor, Tensor], Float[Tensor, " examples"]]:
        loss = self.fit.recipe.loss
        assert not isinstance(loss, RememberingLossConfig), "its config refuses them"
        return loss.of

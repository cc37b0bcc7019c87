"""Training at one sample size until everything is fitted, or nothing moves any more, or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainables.capacity.climbing import Climbing
from trainables.metrics import accuracy
from trainables.probes.hessian import extreme_eigenvalues
from trainables.seeding import Streams, stream_seed
from trainables.training import draws
from trainables.training.examples import StackedPart
from trainables.training.fitting import Fit
from trainables.training.losses import LossConfig, cross_entropy
from trainables.training.stacking import each

_SADDLE = -0.01  # smallest over largest eigenvalue, below which a flat place is none that training should end in
_CHUNK = 2**14  # examples of all members at once, for derivatives at rest


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training at one sample size ended."""

    fitted: bool
    settled: bool  # flat, though not fitted
    steps: int
    loss: float
    accuracy: float
    test_accuracy: float | None
    gradient_ratio: float
    curvature_ratio: float  # 0: nobody asked
    parameters: int


def train(
    configs: Sequence[Climbing],
    seeds: Sequence[int],
    parts: Mapping[str, StackedPart],
    device: str,
    pulse: Callable[[], None],
) -> list[Outcome]:
    """Train fresh networks, one for each config, on all of the training part, and on nothing else."""
    rung = _Rung(configs, seeds, parts, device)
    while rung.going:
        rung.advance(pulse)
        rung.look()
    return [rung.outcomes[number] for number in range(len(configs))]


class _Rung:
    def __init__(
        self, configs: Sequence[Climbing], seeds: Sequence[int], parts: Mapping[str, StackedPart], device: str
    ) -> None:
        self.config, self.parts, train = configs[0], dict(parts), parts["train"]
        own = [stream_seed(seed, f"size/{train.count}") for seed in seeds]
        shape, budget = tuple(train.inputs.shape[1:]), self.config.passes(train.count)
        pairs = zip(configs, own, strict=True)
        networks = [c.model.build(shape, train.num_classes, Streams(seed).torch("init")) for c, seed in pairs]
        budgeted = [replace(config, epochs=budget) for config in configs]
        self.fit = Fit(budgeted, networks, train, own, device=device)
        self.going = list(range(len(configs)))
        self.outcomes: dict[int, Outcome] = {}
        self._losses: dict[int, list[float]] = {number: [] for number in self.going}
        self._budget, self._epoch = budget, 0
        self._window = max(1, budget * self.fit.steps_per_epoch // (10 * self.config.check_every))  # looks
        self._slopes = self._slope()

    def advance(self, pulse: Callable[[], None]) -> None:
        for _ in range(math.ceil(self.config.check_every / self.fit.steps_per_epoch)):
            if self._epoch < self._budget:
                self.fit.run_epoch(pulse)
                self._epoch += 1

    def look(self) -> None:
        """Find out who has ended, and let the others go on without them."""
        train = self.parts["train"]
        logits = self.fit.predict(train)
        losses = each(self._loss, logits, train.labels, self._values()).tolist()
        scores = each(accuracy, logits, train.labels).tolist()
        for number, loss in zip(self.going, losses, strict=True):
            self._losses[number].append(loss)
        fitted = [self._fits(*pair) for pair in zip(losses, scores, strict=True)]
        over = [self._epoch == self._budget or not math.isfinite(loss) for loss in losses]
        flat = [number for number, done in zip(self.going, fitted, strict=True) if not done and self._is_flat(number)]
        if flat or any(fitted) or any(over):
            self._end(losses, scores, fitted, over, flat)

    def _fits(self, loss: float, score: float) -> bool:
        return math.isfinite(loss) and (loss <= self.config.fit_loss if self.config.fit_loss else score == 1)

    def _is_flat(self, number: int) -> bool:
        """Whether the loss has not moved over the last tenth of the budget, at the end of which one looks."""
        losses, window = self._losses[number], self._window
        if len(losses) <= window or (len(losses) % window and self._epoch < self._budget):
            return False
        before = losses[-1 - window]
        return abs(before - losses[-1]) <= self.config.loss_tolerance * before

    def _end(
        self, losses: list[float], scores: list[float], fitted: list[bool], over: list[bool], flat: list[int]
    ) -> None:
        failing = bool(flat) or any(o and not f for o, f in zip(over, fitted, strict=True))
        ratios = (self._slope() / self._slopes).tolist() if failing else [1.0] * len(self.going)
        still = [
            n in flat and ratio <= self.config.gradient_tolerance for n, ratio in zip(self.going, ratios, strict=True)
        ]
        asks = self.config.check_minimum and (any(still) or (failing and any(over)))
        curves = self._curvature() if asks else [0.0] * len(self.going)
        tests = self._test_accuracy()
        for place, number in enumerate(self.going):
            settled = still[place] and curves[place] > _SADDLE
            if fitted[place] or over[place] or settled:
                self.outcomes[number] = Outcome(
                    fitted=fitted[place],
                    settled=settled,
                    steps=self._epoch * self.fit.steps_per_epoch,
                    loss=losses[place],
                    accuracy=scores[place],
                    test_accuracy=tests[place] if tests else None,
                    gradient_ratio=ratios[place],
                    curvature_ratio=curves[place],
                    parameters=self.fit.stack.parameters.shape[1],
                )
        self._drop([number for number in self.going if number not in self.outcomes])

    def _drop(self, going: list[int]) -> None:
        if going and len(going) < len(self.going):
            places = self.fit.places(going)
            self.parts = {name: part.keep(places) for name, part in self.parts.items()}
            self.fit.keep(going, self.parts["train"])
            self._slopes = self._slopes[places]
        self.going = going

    def _test_accuracy(self) -> list[float]:
        if "test" not in self.parts:
            return []
        return each(accuracy, self.fit.predict(self.parts["test"]), self.parts["test"].labels).tolist()

    # --- at rest: no dropout, no augmentation, no penalty -------------------------------------------------------------

    def _values(self) -> dict[Any, Tensor]:
        return dict(self.fit.configs.values)

    def _loss(
        self, logits: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"], values: dict[Any, Tensor]
    ) -> Float[Tensor, ""]:
        """Mean over examples; of a loss that remembers, cross-entropy."""
        loss: Any = self.fit.configs.bind(values).loss
        return (loss if hasattr(loss, "of") else _PLAIN).of(logits, labels).mean()

    def _slope(self) -> Float[Tensor, " members"]:
        """Length of the gradient."""
        gradient, _ = self._derivatives(torch.zeros_like(self.fit.stack.parameters))
        return torch.linalg.vector_norm(gradient, dim=1)

    def _curvature(self) -> list[float]:
        """The smallest eigenvalue of the Hessian over the largest."""
        stack, key = self.fit.stack, draws.key_of(self._epoch, "curvature").to(self.fit.stack.parameters.device)
        start = draws.normal(key, key, stack.parameters.shape)
        least, largest = extreme_eigenvalues(lambda vectors: self._derivatives(vectors)[1], start)
        return (least / largest.clamp(min=torch.finfo(torch.float32).tiny)).tolist()

    def _derivatives(self, direction: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient and the Hessian times a direction, over all training examples."""
        train, size = self.parts["train"], max(1, _CHUNK // len(self.fit))

        def loss(network: nn.Module, inputs: Tensor, labels: Tensor, values: dict[Any, Tensor]) -> Tensor:
            return self._loss(network(inputs), labels, values) * (len(labels) / train.count)

        gradient, product = torch.zeros_like(direction), torch.zeros_like(direction)
        for start in range(0, train.count, size):
            own = (train.chunk(start, start + size), train.labels[:, start : start + size], self._values())
            slope, curve = self.fit.stack.curve(loss, direction, *own)
            gradient, product = gradient + slope, product + curve
        return gradient, product


_PLAIN: LossConfig = cross_entropy.Config()

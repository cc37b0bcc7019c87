"""GradInit: a factor for each weight tensor, so that the first step of training lowers the loss as much as possible.

The factors m minimise the loss after the step W - eta A(g), W = m W_0, which counts as constant, on a batch that shares
half of its examples with that of the gradient g. While the norm of g is above gamma, they lower that norm instead.
Source: Zhu et al., 2021, arXiv:2102.08098, algorithm 1, with the constants of the authors' code for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.api import NonNegative, PerMember, Positive, PositiveInt

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from trainables.training.initialisations import Batches, Loss
    from trainables.training.initialising import Scaled

_ETA = {"sgd": 0.1, "adam": 1e-3}
_GAMMA = {"sgd": 1.0, "adam": 1000.0}
_BETA1, _BETA2, _EPSILON, _SMALLEST, _LARGEST_SLOPE = 0.9, 0.999, 1e-8, 0.01, 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    rule: Literal["sgd", "adam"] = "sgd"
    """The optimizer whose first step A(g) is meant: g / |g|_2, with a bound on |g|_2; or sign(g), with one on |g|_1."""
    steps: PositiveInt = 100
    """Steps on the factors, each on three half batches at most."""
    lr: PerMember[Positive] = 0.03
    """Learning rate of Adam on the factors."""
    eta: PerMember[NonNegative] = 0.0
    """Length of the first step, of the normalised gradient. 0: 0.1 for sgd, 0.001 for adam."""
    gamma: PerMember[NonNegative] = 0.0
    """Largest norm of the gradient. 0: 1 for sgd, 1000 for adam."""

    def apply(self, network: nn.Module, batches: Batches, loss: Loss, stream: Generator) -> None:  # noqa: ARG002
        from trainables.training.initialising import Scaled, at_start

        halves = _halves(batches)
        scaled = Scaled(network, lambda weight: bool(weight.any()))
        descent = _Descent(scaled, self.lr)
        with at_start(network):
            for _ in range(self.steps):
                descent.step(*self._slope(scaled, descent.factors, halves, loss))
        scaled.keep(descent.factors)

    def _slope(self, scaled: Scaled, factors: Tensor, halves: Batches, loss: Loss) -> tuple[Tensor, bool]:
        """The derivative with respect to the factors, of the norm (True) or of the loss after a step (False)."""
        import torch

        first, shared = next(halves), next(halves)
        weights = scaled.tensors(factors.requires_grad_())
        value = _loss(scaled, weights, loss, first, shared)
        gradients = torch.autograd.grad(value, list(weights.values()), create_graph=True)
        size = _norm(gradients, 2 if self.rule == "sgd" else 1)
        if size > (self.gamma or _GAMMA[self.rule]):
            return torch.autograd.grad(size, factors)[0], True
        eta = self.eta or _ETA[self.rule]
        moves = [g.detach() / size.detach() if self.rule == "sgd" else g.detach().sign() for g in gradients]
        after = {name: weight - eta * move for (name, weight), move in zip(weights.items(), moves, strict=True)}
        return torch.autograd.grad(_loss(scaled, after, loss, shared, next(halves)) / eta, factors)[0], False


class _Descent:
    """Adam on the factors, with a first moment for each kind of step: they may well have opposite directions."""

    def __init__(self, scaled: Scaled, lr: float) -> None:
        import torch

        lowest = [0.0 if name.endswith("bias") else _SMALLEST for name in scaled.names]
        self._lowest, self._lr = scaled.begun[0].new_tensor(lowest), lr
        self.factors = torch.ones_like(self._lowest)
        self._first = {kind: torch.zeros_like(self._lowest) for kind in (True, False)}
        self._second, self._counts = torch.zeros_like(self._lowest), {True: 0, False: 0}

    def step(self, slope: Tensor, kind: bool) -> None:
        slope = slope.clamp(-_LARGEST_SLOPE, _LARGEST_SLOPE)
        self._counts[kind] += 1
        self._first[kind] = _BETA1 * self._first[kind] + (1 - _BETA1) * slope
        self._second = _BETA2 * self._second + (1 - _BETA2) * slope.square()
        mean = self._first[kind] / (1 - _BETA1 ** self._counts[kind])
        square = self._second / (1 - _BETA2 ** sum(self._counts.values()))
        factors = self.factors.detach() - self._lr * mean / (square.sqrt() + _EPSILON)
        self.factors = factors.maximum(self._lowest)


def _halves(batches: Batches) -> Batches:
    for inputs, labels in batches:
        yield from zip(inputs.chunk(2), labels.chunk(2), strict=True)


def _loss(scaled: Scaled, weights: dict[str, Tensor], loss: Loss, *parts: tuple[Tensor, Tensor]) -> Tensor:
    import torch

    inputs, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return loss(scaled(weights, inputs), labels)


def _norm(gradients: Iterator[Tensor] | tuple[Tensor, ...], order: int) -> Tensor:
    import torch

    return torch.cat([gradient.flatten() for gradient in gradients]).norm(order)

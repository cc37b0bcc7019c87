"""Muon: steps along the nearest orthogonal matrix to the momentum (Jordan, 2024, kellerjordan.github.io/posts/muon).

All that is no matrix, such as biases and gains, takes steps of Adam. Kernels of convolutions count as matrices with a
row per output channel. Differs: products are in float32, and no matrix is left to Adam, not even the last layer's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember, Positive
from trainables.training.optimizers import adam

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout

_POLYNOMIAL = (3.4445, -4.775, 2.0315)  # steep at 0: five rounds bring singular values from 0.01 on to 0.7 to 1.2
_ROUNDS = 5
_TINY = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 0.02
    """Learning rate of the matrices, at the peak of the schedule."""
    momentum: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.95
    """Decay of the running mean of the gradient, which is used with Nesterov's look ahead."""
    adam_ratio: PerMember[NonNegative] = 0.1
    """Learning rate of Adam for all that is no matrix, as a fraction of ``lr``."""
    weight_decay: PerMember[NonNegative] = 0.0
    """Each step shrinks all parameters by ``lr * weight_decay``, apart from the gradient."""

    def start(self, parameters: Row, layout: Layout) -> State:
        return adam.Config().start(parameters, layout) | {"momentum": parameters.new_zeros(parameters.shape)}

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:
        momentum = self.momentum * state["momentum"] + (1 - self.momentum) * gradient
        ahead = self.momentum * momentum + (1 - self.momentum) * gradient
        by_adam, adam_state = adam.normalised(gradient, state, beta1=0.9, beta2=0.999, epsilon=1e-8)
        pairs = zip(layout.split(ahead).values(), layout.split(by_adam).values(), strict=True)
        parts = [_step(matrix) if matrix.ndim > 1 else self.adam_ratio * other for matrix, other in pairs]
        direction = layout.join(parts) + self.weight_decay * parameters
        return parameters - self.lr * direction, adam_state | {"momentum": momentum}


def _step(tensor: Tensor) -> Tensor:
    """Longer by the root of rows per column, so that layers of all shapes change their outputs about alike."""
    matrix = tensor.flatten(1)
    scale = math.sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
    return (scale * orthogonalised(matrix)).view_as(tensor)


def orthogonalised(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """About the nearest matrix whose singular values are 1, by Newton and Schulz's iteration: they end near 0.7 to 1.2.

    Those below about a thousandth of the matrix's norm stay small.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.square().sum().sqrt() + _TINY)
    first, third, fifth = _POLYNOMIAL
    for _ in range(_ROUNDS):
        gram = wide @ wide.T
        wide = first * wide + (third * gram + fifth * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T

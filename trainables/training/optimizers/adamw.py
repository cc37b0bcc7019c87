"""Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019, arXiv:1711.05101, alg. 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember
from trainables.training.optimizers import adam
from trainables.training.optimizers.adam import normalised

if TYPE_CHECKING:
    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(adam.Config):
    weight_decay: PerMember[NonNegative] = 0.01
    """Each step shrinks all parameters by ``lr * weight_decay``, apart from the gradient."""

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:  # noqa: ARG002
        direction, state = normalised(gradient, state, self.beta1, self.beta2, self.epsilon)
        return parameters - self.lr * (direction + self.weight_decay * parameters), state

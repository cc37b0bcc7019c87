"""Adam (Kingma and Ba, 2015, arXiv:1412.6980, alg. 1), and AMSGrad (Reddi et al., 2018, arXiv:1904.09237, alg. 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember, Positive

if TYPE_CHECKING:
    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout

Decay = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 1e-3
    """Learning rate, at the peak of the schedule."""
    beta1: PerMember[Decay] = 0.9
    """Decay of the running mean of the gradient."""
    beta2: PerMember[Decay] = 0.999
    """Decay of the running mean of the squared gradient."""
    epsilon: PerMember[Positive] = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: PerMember[NonNegative] = 0.0
    """Added to the gradient as ``weight_decay * parameter``, for all parameters; ``adamw`` decouples it."""
    amsgrad: bool = False
    """Divide by the largest mean of the squared gradient so far, so that steps never grow because it fell."""

    def start(self, parameters: Row, layout: Layout) -> State:  # noqa: ARG002
        import torch

        zeros = parameters.new_zeros(parameters.shape)
        state = {"mean": zeros, "square": zeros, "count": parameters.new_zeros((), dtype=torch.float64)}
        return state | ({"largest": zeros} if self.amsgrad else {})

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:  # noqa: ARG002
        from trainables.training.arithmetic import plus

        gradient = plus(gradient, self.weight_decay, parameters)
        direction, state = normalised(gradient, state, self.beta1, self.beta2, self.epsilon)
        return plus(parameters, -self.lr, direction), state


def normalised(gradient: Row, state: State, beta1: float, beta2: float, epsilon: float) -> tuple[Row, State]:
    """The running mean of the gradient over the root of that of its square, both without their bias to zero."""
    count = state["count"] + 1
    mean = beta1 * state["mean"] + (1 - beta1) * gradient
    square = beta2 * state["square"] + (1 - beta2) * gradient**2
    largest = {"largest": square.maximum(state["largest"])} if "largest" in state else {}
    root = (largest.get("largest", square) / (1 - beta2**count)).sqrt() + epsilon
    return mean / ((1 - beta1**count) * root), {"mean": mean, "square": square, "count": count} | largest

"""Stochastic gradient descent with momentum, and Nesterov's form of it (Sutskever et al., 2013, as in torch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember, Positive

if TYPE_CHECKING:
    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 0.1
    """Learning rate, at the peak of the schedule."""
    momentum: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.9
    nesterov: bool = False
    """Look ahead along the momentum before each step."""
    weight_decay: PerMember[NonNegative] = 0.0
    """Added to the gradient as ``weight_decay * parameter``, for all parameters."""

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")

    def start(self, parameters: Row, layout: Layout) -> State:  # noqa: ARG002
        return {"velocity": parameters.new_zeros(parameters.shape)}

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:  # noqa: ARG002
        from trainables.training.arithmetic import plus

        force = plus(gradient, self.weight_decay, parameters)
        velocity = plus(force, self.momentum, state["velocity"])
        direction = plus(force, self.momentum, velocity) if self.nesterov else velocity
        return plus(parameters, -self.lr, direction), {"velocity": velocity}

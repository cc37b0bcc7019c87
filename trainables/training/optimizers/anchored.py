"""Stochastic gradient descent that is drawn towards the initial weights, which keeps a network able to learn.

It descends on the loss plus ``pull / 2 |W - W_0|^2``.
Source: Kumar, Marklund and Van Roy, 2023, arXiv:2308.11958, sec. 4 ("L2 Init").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember
from trainables.training.optimizers import sgd

if TYPE_CHECKING:
    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(sgd.Config):
    pull: PerMember[NonNegative] = 1e-3
    """Added to the gradient as ``pull * (parameter - initial parameter)``, for all parameters."""

    def start(self, parameters: Row, layout: Layout) -> State:
        return {**sgd.Config.start(self, parameters, layout), "begun": parameters}

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:
        from trainables.training.arithmetic import plus

        force = plus(gradient, self.pull, parameters - state["begun"])
        parameters, new = sgd.Config.update(self, force, parameters, state, layout)
        return parameters, {**new, "begun": state["begun"]}

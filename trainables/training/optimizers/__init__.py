"""Optimizers, one file each: ``optimizer: {name: adamw, lr: 1e-3}`` picks ``adamw.py``.

A component module has a ``Config`` that satisfies ``OptimizerConfig``. It imports torch where it computes, so that
checking a sweep stays quick. Its methods are written for one member of a cohort: fields marked ``PerMember`` are then
tensors, and ``self.lr`` is the learning rate of the step, as the schedule has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.stacking import Layout

    Row = Float[Tensor, " parameters"]
    State = dict[str, Tensor]


class OptimizerConfig(Protocol):
    """What an optimizer component's ``Config`` can do. All parameters lie in one row; ``layout`` splits it by name."""

    @property
    def lr(self) -> Any: ...

    def start(self, parameters: Row, layout: Layout) -> State:
        """What the optimizer keeps, before the first step."""
        ...

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:
        """The parameters and the state after a step. Pure: it changes none of its arguments."""
        ...

"""Averages of the weights over the steps, one file each: ``average: {name: ema, decay: 0.99}`` picks ``ema.py``.

Training goes on with the weights, and the average is what is evaluated. A component module has a ``Config`` that
satisfies ``AverageConfig``. It imports torch where it computes, so that checking a sweep stays quick. Its methods are
written for one member of a cohort: fields marked ``PerMember`` are then tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from trainables.training.optimizers import Row


class AverageConfig(Protocol):
    """What an average component's ``Config`` can do. All parameters lie in one row."""

    def update(self, average: Row, parameters: Row, step: Int[Tensor, ""], total: int) -> Row:
        """The average after a step, which is counted from 0, of ``total``. It starts with the initial parameters."""
        ...

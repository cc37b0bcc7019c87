"""Where the gradient of a step is taken, one file each: ``perturbation: {name: sam, radius: 0.1}`` picks ``sam.py``.

A component module has a ``Config`` that satisfies ``PerturbationConfig``. It imports torch where it computes, so that
checking a sweep stays quick. Its methods are written for one member of a cohort: fields marked ``PerMember`` are then
tensors.

All gradients of a step are of the same function: the same batch, augmented alike, and the same dropout masks. Running
statistics are those of the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trainables.training.optimizers import Row
    from trainables.training.stacking import Layout


class PerturbationConfig(Protocol):
    """What a perturbation component's ``Config`` can do. All parameters lie in one row, split by ``layout``."""

    @property
    def moves(self) -> int:
        """How often a step moves, and takes a further gradient, before it takes the one it follows."""
        ...

    def move(self, gradient: Row, at: Row, parameters: Row, layout: Layout) -> Row:
        """Where the next gradient is taken, after the one ``at`` some place. The step begins at ``parameters``."""
        ...

"""What training batches go through, one file each: ``augmentation: {name: noise, deviation: 0.1}`` picks ``noise.py``.

A component module has a ``Config`` that satisfies ``AugmentationConfig``. It imports torch where it computes, so that
checking a sweep stays quick. Its methods are written for one member of a cohort: fields marked ``PerMember`` are then
tensors, and random numbers come from ``trainables.training.draws``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


class AugmentationConfig(Protocol):
    """What an augmentation component's ``Config`` can do."""

    def apply(
        self, inputs: Float[Tensor, "batch ..."], targets: Targets, draw: Draw
    ) -> tuple[Float[Tensor, "batch ..."], Targets]:
        """The batch that is trained on. ``inputs`` are standardised if the split says so."""
        ...

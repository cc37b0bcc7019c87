"""Losses, one file each: ``loss: {name: cross_entropy}`` picks ``cross_entropy.py``.

A component module has a ``Config`` that satisfies ``LossConfig``. It imports torch where it computes, so that checking
a sweep stays quick. Its methods are written for one member of a cohort: fields marked ``PerMember`` are then tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
    """The classes, or where targets are smoothed or mixed, the probabilities of all classes."""


class LossConfig(Protocol):
    """What a loss component's ``Config`` can do."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        """The loss of each example, in nats."""
        ...


def probabilities(targets: Targets, num_classes: int) -> Float[Tensor, "batch classes"]:
    """The targets as probabilities, whichever they are."""
    from torch.nn import functional

    return targets if targets.is_floating_point() else functional.one_hot(targets, num_classes).float()

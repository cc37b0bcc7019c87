"""Losses, one file each: ``loss: {name: cross_entropy}`` picks ``cross_entropy.py``.

A component module has a ``Config`` that satisfies ``LossConfig`` or ``RememberingLossConfig``. It imports torch where
it computes, so that checking a sweep stays quick. Its methods are written for one member of a cohort: fields marked
``PerMember`` are then tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
    """The classes, or where targets are smoothed or mixed, the probabilities of all classes."""


class LossConfig(Protocol):
    """What a loss component's ``Config`` can do."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        """The loss of each example, in nats where that makes sense."""
        ...


@runtime_checkable
class RememberingLossConfig(Protocol):
    """What a loss component's ``Config`` can do that remembers something of each training example."""

    def start(self, num_examples: int, num_classes: int) -> Float[Tensor, "examples remembered"]:
        """The memory before the first epoch."""
        ...

    def recall(
        self, logits: Float[Tensor, "batch classes"], targets: Targets, memory: Float[Tensor, "batch remembered"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch remembered"]]:
        """The loss of each example, and what is remembered of it from now on, which has no gradient."""
        ...


def probabilities(targets: Targets, num_classes: int) -> Float[Tensor, "batch classes"]:
    """The targets as probabilities, whichever they are."""
    import torch

    if targets.is_floating_point():
        return targets
    classes = torch.arange(num_classes, device=targets.device)  # ``one_hot`` cannot be compiled
    return (targets[:, None] == classes).float()

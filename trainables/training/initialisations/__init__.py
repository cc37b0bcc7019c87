"""What is done to weights before training, one file each: ``initialisation: {name: lsuv}`` picks ``lsuv.py``.

A component module has a ``Config`` that satisfies ``InitialisationConfig``. It imports torch where it computes, so that
checking a sweep stays quick. It is applied once to each trial, before its network joins a cohort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Generator, Tensor, nn

    Batches = Iterator[tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]]
    """Inputs and labels of training examples, without end; each epoch of them in another order."""
    Loss = Callable[[Float[Tensor, "batch classes"], Int[Tensor, " batch"]], Float[Tensor, ""]]
    """The mean over a batch, from its logits and labels."""


class InitialisationConfig(Protocol):
    """What an initialisation component's ``Config`` can do."""

    def apply(self, network: nn.Module, batches: Batches, loss: Loss, stream: Generator) -> None:
        """Change the weights, which the model has drawn and ``init_scale`` has multiplied.

        ``stream`` is on the CPU. Two calls with equal arguments give the same weights.
        """
        ...

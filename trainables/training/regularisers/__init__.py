"""Penalties that are added to the loss, one file each: ``regulariser: {name: spectral}`` picks ``spectral.py``.

A component module has a ``Config`` that satisfies ``RegulariserConfig``. It imports torch where it computes, so that
checking a sweep stays quick. Its methods are written for one member of a cohort: fields marked ``PerMember`` are then
tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets

    Parameters = Mapping[str, Tensor]


class RegulariserConfig(Protocol):
    """What a regulariser component's ``Config`` can do."""

    passes: ClassVar[int]
    """How often a batch goes through the network in a step, each time with dropout of its own. Logits and targets are
    those of all passes, one below the other; the loss is their mean."""

    def penalty(
        self, parameters: Parameters, logits: Float[Tensor, "batch classes"], targets: Targets
    ) -> Float[Tensor, ""]:
        """What is added to the mean loss of a batch. What depends on its examples is a mean over them."""
        ...


def matrices(parameters: Parameters) -> Iterator[Float[Tensor, "rows columns"]]:
    """The weights of the layers; kernels of convolutions have a row per output channel."""
    return (tensor.flatten(1) for tensor in parameters.values() if tensor.ndim > 1)

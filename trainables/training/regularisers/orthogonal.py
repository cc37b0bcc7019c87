"""Orthogonality penalty: keeps the rows of each weight matrix orthonormal, or its columns where those are fewer.

Source: Bansal et al., 2018, arXiv:1810.09102, eq. 3, and the "double" of it for the smaller side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, PerMember
from trainables.training.regularisers import matrices

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.losses import Targets
    from trainables.training.regularisers import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    passes: ClassVar[int] = 1
    strength: PerMember[NonNegative] = 1e-3
    """What the sum over all layers is multiplied by."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        return self.strength * sum(map(_distance, matrices(parameters)), start=logits.new_zeros(()))


def _distance(matrix: Tensor) -> Tensor:
    """The squared Frobenius norm of the smaller Gram matrix less the unit matrix."""
    import torch

    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return (wide @ wide.T - torch.eye(len(wide), dtype=wide.dtype, device=wide.device)).square().sum()

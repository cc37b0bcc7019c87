"""The sum of the absolute values of all weights, without biases and gains, which drives many of them near zero.

Source: Tibshirani, 1996, doi:10.1111/j.2517-6161.1996.tb02080.x, for linear models.
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
    strength: PerMember[NonNegative] = 1e-4
    """What the sum is multiplied by."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        sums = (matrix.abs().sum() for matrix in matrices(parameters))
        return self.strength * sum(sums, start=logits.new_zeros(()))

"""Spectral penalty: half the squared largest singular value of each weight matrix.

Source: Yoshida and Miyato, 2017, arXiv:1705.10941, eq. 3 and alg. 1. Differs: the power iteration begins anew in each
step, at the longest row, and has more rounds instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, PerMember, PositiveInt
from trainables.training.regularisers import matrices

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.losses import Targets
    from trainables.training.regularisers import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    passes: ClassVar[int] = 1
    strength: PerMember[NonNegative] = 0.01
    """What the penalty is multiplied by."""
    rounds: PositiveInt = 10
    """Of the power iteration. With few the singular value comes out too small where the next one is near."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        squares = (largest_singular_value(matrix, self.rounds) ** 2 for matrix in matrices(parameters))
        return self.strength / 2 * sum(squares, start=logits.new_zeros(()))


def largest_singular_value(matrix: Tensor, rounds: int) -> Tensor:
    """By power iteration; its gradient is that of the last estimate with its vectors held fast."""
    from torch.nn.functional import normalize

    fixed = matrix.detach()
    longest = fixed.square().sum(1).argmax(0, keepdim=True)
    right = normalize(fixed.index_select(0, longest).squeeze(0), dim=0)
    for _ in range(rounds):
        left = normalize(fixed @ right, dim=0)
        right = normalize(left @ fixed, dim=0)
    return normalize(fixed @ right, dim=0) @ matrix @ right

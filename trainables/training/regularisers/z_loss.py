"""z-loss: keeps the logarithm of the softmax's denominator near zero, so that logits do not drift.

Source: Chowdhery et al., 2022, arXiv:2204.02311, sec. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, PerMember

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.losses import Targets
    from trainables.training.regularisers import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    passes: ClassVar[int] = 1
    strength: PerMember[NonNegative] = 1e-4
    """What the mean squared logarithm is multiplied by."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        return self.strength * logits.logsumexp(1).square().mean()

"""Confidence penalty: rewards the entropy of the predictions (Pereyra et al., 2017, arXiv:1701.06548, sec. 3)."""

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
    strength: PerMember[NonNegative] = 0.1
    """What the mean entropy, in nats, is multiplied by and taken off the loss."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        log_p = logits.log_softmax(1)
        return self.strength * (log_p.exp() * log_p).sum(1).mean()

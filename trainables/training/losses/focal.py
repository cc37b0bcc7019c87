"""Focal loss: cross-entropy that counts less where the network is right already.

Source: Lin et al., 2017, arXiv:1708.02002, eq. 4, without weights of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember
from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    gamma: PerMember[NonNegative] = 2.0
    """Power of ``1 - p`` that the loss of a class of probability ``p`` is multiplied by; 0: cross-entropy."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        import torch

        log_p = logits.log_softmax(1)
        doubt = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).tiny)  # a root of 0 would have no gradient
        return -(probabilities(targets, logits.shape[1]) * doubt**self.gamma * log_p).sum(1)

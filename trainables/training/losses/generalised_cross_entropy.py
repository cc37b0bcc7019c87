"""Generalised cross-entropy: between cross-entropy and the mean absolute error, which resists wrong labels.

Source: Zhang and Sabuncu, 2018, arXiv:1805.07836, eq. 6, and eq. 7 with ``truncation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le

from trainables.api import Fraction, PerMember
from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    q: PerMember[Annotated[float, Gt(0), Le(1)]] = 0.7
    """The loss of probability ``p`` is ``(1 - p^q) / q``: cross-entropy as ``q`` nears 0, mean absolute error at 1."""
    truncation: PerMember[Fraction] = 0.0
    """Examples whose class has at most this probability have no gradient."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        import torch

        log_p = logits.log_softmax(1)
        least = torch.as_tensor(self.truncation, dtype=log_p.dtype, device=log_p.device).log()
        losses = -torch.expm1(self.q * log_p.maximum(least)) / self.q
        return (probabilities(targets, logits.shape[1]) * losses).sum(1)

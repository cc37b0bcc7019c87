"""Encouraging loss: cross-entropy with a bonus for examples that are classified well already.

Source: Zhao et al., 2022, "Well-classified Examples are Underestimated in Classification with Deep Neural Networks",
arXiv:2110.06537, sec. 4: the bonus ``log(1 - p)``, which is linear beyond a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import Fraction, PerMember
from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets

_MOST = 1 - 1e-5  # the bonus has no lower bound as the threshold nears 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    threshold: PerMember[Fraction] = 0.75
    """Probability beyond which the bonus grows in a line. Large ones reward confidence more. Losses may be negative."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        import torch

        log_p = logits.log_softmax(1)
        threshold = torch.as_tensor(self.threshold, dtype=log_p.dtype, device=log_p.device).clamp(max=_MOST)
        below = log_p.exp().minimum(threshold)
        bonus = torch.log1p(-below) - (log_p.exp() - below) / (1 - threshold)
        return (probabilities(targets, logits.shape[1]) * (bonus - log_p)).sum(1)

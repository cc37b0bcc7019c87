"""Bootstrapping: targets that are partly what the network says itself.

Source: Reed et al., 2014, arXiv:1412.6596, eq. 6 (soft) and eq. 7 (hard). The gradient goes through the network's part
of soft targets too, so that the loss is cross-entropy with a share of minimum entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.api import Fraction, PerMember
from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    kind: Literal["soft", "hard"] = "soft"
    """Whether the network's part is its probabilities or its most probable class."""
    trust: PerMember[Fraction] = 0.95
    """Share of the given labels in the targets. The source has 0.95 for soft and 0.8 for hard ones."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        num_classes, log_p = logits.shape[1], logits.log_softmax(1)
        own = log_p.exp() if self.kind == "soft" else probabilities(logits.argmax(1), num_classes)
        mixed = self.trust * probabilities(targets, num_classes) + (1 - self.trust) * own
        return -(mixed * log_p).sum(1)

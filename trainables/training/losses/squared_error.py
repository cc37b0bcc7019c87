"""Squared error, summed over the classes.

Source: on logits Hui and Belkin, 2021, arXiv:2006.07322, without rescaling; on probabilities Brier, 1950.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    outputs: Literal["logits", "probabilities"] = "logits"
    """What is compared with the targets, which are 1 for the class of an example and 0 for the others."""

    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        made = logits if self.outputs == "logits" else logits.softmax(1)
        return (made - probabilities(targets, logits.shape[1])).square().sum(1)

"""Early-learning regularisation: holds the network to what it said of each example in earlier epochs.

Source: Liu et al., 2020, arXiv:2007.00151, eq. 6 and eq. 10. Not meant to go with mixup and its like, whose examples
are two in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember
from trainables.training.losses import probabilities

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets

_EDGE = 1e-4  # probabilities are kept this far from 0 and 1, so that the logarithm below is finite


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    strength: PerMember[NonNegative] = 3.0
    """Of the regularisation; the source has 3 for CIFAR-10 and 7 for CIFAR-100."""
    decay: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.7
    """Of the running mean of each example's probabilities, over epochs."""

    def start(self, num_examples: int, num_classes: int) -> Float[Tensor, "examples classes"]:
        import torch

        return torch.zeros(num_examples, num_classes)

    def recall(
        self, logits: Float[Tensor, "batch classes"], targets: Targets, memory: Float[Tensor, "batch classes"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch classes"]]:
        log_p = logits.log_softmax(1)
        p = log_p.exp().clamp(_EDGE, 1 - _EDGE)
        said = p.detach() / p.detach().sum(1, keepdim=True)
        memory = self.decay * memory + (1 - self.decay) * said
        entropy = -(probabilities(targets, logits.shape[1]) * log_p).sum(1)
        return entropy + self.strength * (1 - (memory * p).sum(1)).log(), memory

"""Cross-entropy between the targets and the softmax of the logits, in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def of(self, logits: Float[Tensor, "batch classes"], targets: Targets) -> Float[Tensor, " batch"]:
        from torch.nn import functional

        if targets.is_floating_point():
            return functional.cross_entropy(logits, targets, reduction="none")
        # The same. Under ``vmap`` PyTorch does that one in many more steps, and imports symbolic algebra for it.
        return -functional.log_softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]

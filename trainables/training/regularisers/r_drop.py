"""R-drop: a batch goes through the network twice, and what both dropouts leave of it is to say the same.

Source: Liang et al., 2021, arXiv:2106.14448, eq. 4. Differs: the loss is the mean of both passes and not their sum, so
that ``strength`` counts double. Batch normalisation takes the statistics of both passes.
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
    passes: ClassVar[int] = 2
    strength: PerMember[NonNegative] = 1.0
    """What the mean of the two Kullback-Leibler divergences, in nats, is multiplied by. The model needs dropout."""

    def penalty(self, parameters: Parameters, logits: Tensor, targets: Targets) -> Tensor:  # noqa: ARG002
        first, second = logits.log_softmax(1).unflatten(0, (2, -1)).unbind(0)
        return self.strength / 2 * ((first.exp() - second.exp()) * (first - second)).sum(1).mean()

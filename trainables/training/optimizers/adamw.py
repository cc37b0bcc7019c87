"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember, Positive

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 1e-3
    """Learning rate, at the peak of the schedule."""
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Decay of the running mean of the gradient."""
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    """Decay of the running mean of the squared gradient."""
    epsilon: Positive = 1e-8
    """Added to the root of the squared gradient's mean."""
    weight_decay: PerMember[NonNegative] = 0.01
    """Each step shrinks all parameters by ``lr * weight_decay``, apart from the gradient."""

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        from torch.optim import AdamW

        betas = (self.beta1, self.beta2)
        return AdamW(parameters, lr=self.lr, betas=betas, eps=self.epsilon, weight_decay=self.weight_decay, fused=True)

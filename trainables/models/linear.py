"""One linear layer: multinomial logistic regression. Images are flattened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, initialised

        return initialised(lambda: nn.Sequential(nn.Flatten(), Linear(math.prod(shape), num_classes)), init)

"""Hidden layers of squared units, (w x + b)^2 / sqrt(3), which makes the logits polynomials. Images are flattened.

Source: the quadratic activation of Du and Lee, 2018, arXiv:1803.01206.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from trainables.api import PositiveInt

if TYPE_CHECKING:
    from torch import Generator, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 64
    """Units in each hidden layer."""
    depth: PositiveInt = 1
    """Number of hidden layers. The logits are polynomials of degree ``2^depth``."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Linear, Square, initialised

        widths = [math.prod(shape), *[self.width] * self.depth]

        def layers() -> nn.Sequential:
            hidden = [part for n, m in pairwise(widths) for part in (Linear(n, m), Square())]
            return nn.Sequential(nn.Flatten(), *hidden, Linear(widths[-1], num_classes))

        return initialised(layers, init, "linear")

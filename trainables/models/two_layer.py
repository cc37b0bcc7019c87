"""One hidden layer of ReLU units, of which the second layer may be fixed. Images are flattened.

A fixed head has random entries of +-1 / sqrt(width). Of two classes the logits then are f / 2 and -f / 2, so that their
cross-entropy is the logistic loss of f, the sum of the units with those signs.
Source: Arora et al., 2019, arXiv:1901.08584, eq. 1; with two classes as in Xu et al., 2023, arXiv:2310.02541.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.api import PositiveInt

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    width: PositiveInt = 256
    """Hidden units."""
    head: Literal["trained", "fixed"] = "trained"
    """Whether the second layer is trained."""
    bias: bool = True
    """Whether the trained layers have biases."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        from torch import nn

        from trainables.training.layers import Fixed, Linear, initialised

        def layers() -> nn.Sequential:
            hidden = Linear(math.prod(shape), self.width, bias=self.bias)
            trained = self.head == "trained"
            head = Linear(self.width, num_classes, bias=self.bias) if trained else Fixed(self.width, num_classes, signs)
            return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), head)

        return initialised(layers, init)


def signs(stream: Generator, size: tuple[int, int]) -> Tensor:
    """A fixed head, of shape (classes, units)."""
    from torch import randint, stack

    num_classes, width = size
    entries = (2 * randint(2, size, generator=stream) - 1) / math.sqrt(width)
    return stack([-entries[0], entries[0]]) / 2 if num_classes == 2 else entries

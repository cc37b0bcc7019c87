"""Manifold mixup: mixup at one layer of the network, drawn anew in each step from the inputs and the hidden layers.

Source: Verma et al., 2019, arXiv:1806.05236, sec. 2. Differs: each example draws a share of its own, as in ``mixup``;
several workers mix within their parts of the batch. The layer is one for the whole batch, as the target of an example
would be wrong whose partner was mixed at an earlier layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, NonNegativeInt, PerMember
from trainables.training.augmentations import beta, blended

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.hidden import Change
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = True
    alpha: PerMember[NonNegative] = 2.0
    """Of the beta distribution that shares are drawn from. Small: mostly one of the two; 0: no mixing."""
    first: NonNegativeInt = 0
    """First of the layers that are drawn from; 0 is the inputs, and each further part of the network has one."""
    last: NonNegativeInt = 2
    """Last of them."""

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"first {self.first} must be at most last {self.last}")

    def within(self, inputs: Tensor, targets: Targets, draw: Draw, num_layers: int) -> tuple[Change, Targets]:
        import torch

        if self.last >= num_layers:
            expected = f"at most {num_layers - 1}" if num_layers else "a network that is a sequence of parts"
            raise ValueError(f"augmentation manifold_mixup: got last {self.last}, expected {expected}")
        share, other = beta(draw, self.alpha, inputs.flatten(1)[:, 0]), draw.permutation(len(inputs))
        drawn = self.first + (draw.one() * (self.last - self.first + 1)).long()

        def change(layer: int, values: Tensor) -> Tensor:
            if not self.first <= layer <= self.last:
                return values
            return blended(values, torch.where(drawn == layer, share, 1.0), other)

        return change, blended(targets, share, other)

"""CutMix: a rectangle of each image comes from another one of its batch, and so does its share of the target.

Source: Yun et al., 2019, arXiv:1905.04899, sec. 3.1; the share is that of the pixels that are in the image. Differs:
each image draws a rectangle of its own, the source's code one for the whole batch; several workers mix within their
parts of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import Fraction, NonNegative, PerMember
from trainables.training.augmentations import beta, sides, square

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = True
    alpha: PerMember[NonNegative] = 1.0
    """Of the beta distribution that the kept share of an image is drawn from; 0: nothing is cut."""
    probability: PerMember[Fraction] = 1.0
    """That an image is cut at all."""

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:
        sides("cutmix", inputs)
        first, other = inputs[:, 0, 0, 0], draw.permutation(len(inputs))
        side = (1 - beta(draw, self.alpha, first)).sqrt() * (draw.uniform(first) < self.probability)
        cut = square(draw, side, inputs)
        share = cut.mean((1, 2, 3))[:, None]
        return inputs + cut * (inputs[other] - inputs), targets + share * (targets[other] - targets)

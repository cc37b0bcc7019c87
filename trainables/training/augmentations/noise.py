"""Adds normal noise to each input (Bishop, 1995, doi:10.1162/neco.1995.7.1.108)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainables.api import NonNegative, PerMember

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = False
    deviation: PerMember[NonNegative] = 0.1
    """Standard deviation of the noise, in units of the inputs that the network sees."""

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:
        return inputs + self.deviation * draw.normal(inputs), targets

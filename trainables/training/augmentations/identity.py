"""Leaves every batch as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.losses import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    mixes: ClassVar[bool] = False

    def apply(self, inputs: Tensor, targets: Targets, draw: Draw) -> tuple[Tensor, Targets]:  # noqa: ARG002
        return inputs, targets

"""The gradient is taken at the parameters themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.training.optimizers import Row
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    @property
    def moves(self) -> int:
        return 0

    def move(self, gradient: Row, at: Row, parameters: Row, layout: Layout) -> Row:  # noqa: ARG002
        return parameters

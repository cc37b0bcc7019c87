"""The weights as models draw them: normal with variance gain^2 / fan-in (He et al., 2015, arXiv:1502.01852, eq. 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, nn

    from trainables.training.initialisations import Batches, Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def apply(self, network: nn.Module, batches: Batches, loss: Loss, stream: Generator) -> None:
        pass

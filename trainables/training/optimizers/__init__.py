"""Optimizers, one file each: ``optimizer: {name: adamw, lr: 1e-3}`` picks ``adamw.py``.

A component module has a ``Config`` that satisfies ``OptimizerConfig``. It imports torch where it builds, so that
checking a sweep stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class OptimizerConfig(Protocol):
    """What an optimizer component's ``Config`` can do."""

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Make the optimizer. Its learning rates are those that a schedule's factor of 1 stands for."""
        ...

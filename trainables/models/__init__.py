"""Architectures, one file each: ``model: {name: mlp, width: 32}`` picks ``mlp.py``.

A component module has a ``Config`` that satisfies ``ModelConfig``. It imports torch where it builds, so that checking
a sweep stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, nn


class ModelConfig(Protocol):
    """What a model component's ``Config`` can do."""

    def build(self, shape: tuple[int, ...], num_classes: int, init: Generator) -> nn.Module:
        """Make the model on the CPU, with its weights drawn from ``init``.

        Args:
            shape: of one input, ``(features,)`` or ``(channels, height, width)``.
            num_classes: of the logits that the model returns, as ``(batch, num_classes)``.
            init: the stream that the weights are drawn from.

        Raises:
            ValueError: the model does not take inputs of this shape.
        """
        ...

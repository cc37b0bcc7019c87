"""Sums of long rows of numbers in one pass over memory, which is what an optimizer's time goes to."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def plus(base: Float[Tensor, " n"], scale: float | Tensor, other: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """``base + scale * other``; ``scale`` is a number or a tensor without dimensions."""
    if isinstance(scale, Tensor):
        return torch.addcmul(base, other, scale.to(base.dtype))
    return torch.add(base, other, alpha=scale)

"""How far it is from inputs to the decision boundary, along the directions to other inputs.

Source: Somepalli et al., 2022, arXiv:2203.08124, sec. 4.  Differs: steps are shares of the way to the other input, up
to twice the way, and the first step on which the class has changed is halved again and again to find where.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Choose = Callable[[Float[Tensor, "members points features"]], Int[Tensor, "members points"]]
"""The class that each member chooses at points of its own."""

_FARTHEST = 2.0  # times the way to the other input
_STEPS, _HALVINGS = 40, 10


def distances(
    choose: Choose,
    inputs: Float[Tensor, "members inputs features"],
    others: Float[Tensor, "members inputs directions features"],
) -> Float[Tensor, "members inputs directions"]:
    """How far it is from each input towards each other one until another class is chosen; infinite if none is.

    A change of class and back within one step of a twentieth of the way is overlooked.
    """
    way = others - inputs[:, :, None]

    def chosen(at: Float[Tensor, "members inputs directions steps"]) -> Int[Tensor, ...]:
        points = inputs[:, :, None, None] + at[..., None] * way[:, :, :, None]
        return choose(points.flatten(1, 3)).view(at.shape)

    begun = choose(inputs)[:, :, None, None]
    ladder = torch.linspace(0, _FARTHEST, _STEPS + 1, dtype=inputs.dtype, device=inputs.device)[1:]
    changed = chosen(ladder.expand(*way.shape[:3], -1)) != begun
    high = ladder[changed.int().argmax(3, keepdim=True)]
    low = high - ladder[0]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = chosen(middle) != begun
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    found = ((low + high) / 2).squeeze(3) * torch.linalg.vector_norm(way, dim=3)
    return torch.where(changed.any(3), found, torch.inf)


def margin(distances: Float[Tensor, "inputs directions"]) -> float:
    """The mean distance: over the directions that met a boundary, then over the inputs half of whose directions did.

    Infinite if there is no such input.
    """
    met = distances.isfinite()
    kept = 2 * met.sum(1) >= distances.shape[1]
    means = distances.where(met, 0).sum(1) / met.sum(1).clamp(min=1)
    return means[kept].mean().item() if kept.any() else float("inf")

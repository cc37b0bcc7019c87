"""What the networks of a cohort decide at points of their own, and what these decisions look like."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from trainables.capacity.slices import Slices
from trainables.capacity.slicing import Slicing
from trainables.probes.decision_maps import above_chance, agreement_by_chance, fragmentation, reproducibility
from trainables.probes.margin import distances, margin
from trainables.probes.planes import Planes
from trainables.probes.portraits import portrait
from trainables.training.fitting import Fit

Maps = Int[np.ndarray, "members planes side side"]
_MOST = 2**15  # points that are classified at a time
_PICTURES = 3


class Decisions:
    """What the networks of a fit choose. ``shape`` is that of one input."""

    def __init__(self, fit: Fit, shape: tuple[int, ...]) -> None:
        self._fit, self._shape = fit, shape

    def choose(self, points: Float[Tensor, "members points features"]) -> Int[Tensor, "members points"]:
        """The class with the highest score, by each member at points of its own."""
        size = max(1, _MOST // len(points))
        return torch.cat(
            [self._fit.logits(some.unflatten(2, self._shape)).argmax(2) for some in points.split(size, 1)], 1
        )

    def maps(self, planes: Sequence[Planes], resolution: int, reach: float) -> Maps:
        """The classes at the grid points of each member's planes."""
        found, size = [], max(1, _MOST // resolution**2 // len(planes))
        for start in range(0, len(planes[0]), size):
            some = [own[start : start + size] for own in planes]
            points = torch.stack([own.at(own.grid(resolution, reach)).flatten(0, 1) for own in some])
            found.append(self.choose(points.float()).view(len(planes), -1, resolution, resolution).cpu())
        return torch.cat(found, 1).numpy()

    def margins(self, slices: Sequence[Slices]) -> list[float]:
        """The mean distance of each member's inputs to where it decides otherwise."""
        inputs, others = (torch.stack([getattr(own, name) for own in slices]) for name in ("inputs", "others"))
        means = [margin(own) for own in distances(self.choose, inputs, others)]
        return [own.farthest if math.isinf(mean) else mean for mean, own in zip(means, slices, strict=True)]


def compare(pair: Sequence[Decisions], slices: Sequence[Slices], slicing: Slicing) -> list[dict[str, float]]:
    """Of each member, how its two networks decide, and how much alike."""
    planes = [own.planes for own in slices]
    maps = [network.maps(planes, slicing.resolution, slicing.reach) for network in pair]
    margins = np.mean([network.margins(slices) for network in pair], 0)
    return [_compared(*both) | {"margin": float(far)} for *both, far in zip(*maps, margins, strict=True)]


def _compared(
    first: Int[np.ndarray, "planes side side"], second: Int[np.ndarray, "planes side side"]
) -> dict[str, float]:
    same = reproducibility(first, second)
    return {
        "reproducibility": same,
        "reproducibility/above_chance": above_chance(same, agreement_by_chance(first, second)),
        "fragmentation": (fragmentation(first) + fragmentation(second)) / 2,
    }


def portraits(
    pair: Sequence[Decisions], slices: Sequence[Slices], slicing: Slicing
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Of each member a picture of its first planes, with a row for each of its two networks."""
    planes = [own.planes[:_PICTURES] for own in slices]
    maps = np.stack([network.maps(planes, slicing.picture, slicing.reach) for network in pair], 1)
    corners = [own.corners.cpu().numpy() for own in planes]
    return [portrait(own, at, slicing.reach) for own, at in zip(maps, corners, strict=True)]

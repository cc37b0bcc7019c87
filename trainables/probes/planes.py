"""Planes through three inputs each, and grids of points on them: where decision boundaries can be looked at.

The first axis points from the first input to the second; the second one is orthogonal to it, towards the third. A grid
reaches beyond the triangle by a share of its width and of its height, and is not clipped to what is a valid image.
Everything is computed in float64, so that the inputs themselves come back.
Source: Somepalli et al., 2022, arXiv:2203.08124, sec. 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_FLATTEST = 1e-3  # height of a triangle over its base, below which the second axis would be rounding


@dataclass(frozen=True, eq=False)
class Planes:
    """Planes, and where the three inputs of each lie on it."""

    origin: Float[Tensor, "planes features"]
    axes: Float[Tensor, "planes 2 features"]
    corners: Float[Tensor, "planes 3 2"]

    def __len__(self) -> int:
        return len(self.origin)

    def __getitem__(self, some: slice) -> Planes:
        return Planes(self.origin[some], self.axes[some], self.corners[some])

    def at(self, coordinates: Float[Tensor, "planes points 2"]) -> Float[Tensor, "planes points features"]:
        """The inputs at these places of each plane."""
        return self.origin[:, None] + coordinates @ self.axes

    def grid(self, resolution: int, reach: float) -> Float[Tensor, "planes points 2"]:
        """``resolution`` times ``resolution`` places, row by row along the first axis.

        ``reach`` is how far they go beyond the triangle on each side, over its width and its height.
        """
        low, high = self.corners.amin(1), self.corners.amax(1)
        margin = reach * (high - low)
        share = torch.linspace(0, 1, resolution, dtype=low.dtype, device=low.device)
        ticks = torch.lerp((low - margin)[..., None], (high + margin)[..., None], share)
        first, second = ticks[:, 0, :, None], ticks[:, 1, None, :]
        places = torch.stack([first.expand(-1, -1, resolution), second.expand(-1, resolution, -1)], dim=-1)
        return places.flatten(1, 2)


def through(triplets: Float[Tensor, "planes 3 features"]) -> Planes:
    """The planes through these inputs, of which no three may lie on a line (``is_flat``)."""
    first, second, third = triplets.double().unbind(1)
    base = torch.linalg.vector_norm(second - first, dim=1, keepdim=True)
    along = (second - first) / base
    aside = (third - first) - ((third - first) * along).sum(1, keepdim=True) * along
    aside = aside - (aside * along).sum(1, keepdim=True) * along  # once more, for flat triangles
    across = aside / torch.linalg.vector_norm(aside, dim=1, keepdim=True)
    axes = torch.stack([along, across], 1)
    corners = (triplets.double() - first[:, None]) @ axes.mT
    return Planes(first, axes, corners)


def is_flat(triplets: Float[np.ndarray, "planes 3 features"]) -> Bool[np.ndarray, " planes"]:
    """Whether a triangle is too flat to have a second axis: its height is below a thousandth of its base."""
    first, second, third = np.moveaxis(triplets.astype(np.float64), 1, 0)
    base, side = second - first, third - first
    length = np.linalg.norm(base, axis=1)
    along = base / np.where(length > 0, length, 1)[:, None]
    height = np.linalg.norm(side - (side * along).sum(1, keepdims=True) * along, axis=1)
    return (height <= _FLATTEST * length) | (length == 0)

"""What can be said of decision maps: the classes that networks choose at the points of planes.

Source: Somepalli et al., 2022, arXiv:2203.08124, secs. 4 (reproducibility) and 5 (fragmentation).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy import ndimage

Maps = Int[np.ndarray, "planes side side"]
_CORNERS_TOUCH = np.ones((3, 3), int)


def reproducibility(first: Maps, second: Maps) -> float:
    """The share of the points at which two networks choose the same class, in [0, 1]."""
    return float((first == second).mean())


def agreement_by_chance(first: Maps, second: Maps) -> float:
    """Their reproducibility if each kept how often it chooses each class, and nothing else.

    It is high where one class fills the planes. Source: Cohen, 1960, doi:10.1177/001316446002000104.
    """
    bins = 1 + max(first.max(), second.max())
    shares = [np.bincount(maps.ravel(), minlength=bins) / maps.size for maps in (first, second)]
    return float(shares[0] @ shares[1])


def above_chance(reproducibility: float, by_chance: float) -> float:
    """Cohen's kappa: 1 for the same decisions everywhere, 0 for as many as by chance, or if chance explains all."""
    return (reproducibility - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def regions(classes: Int[np.ndarray, "side side"]) -> int:
    """How many connected regions of one class there are. Points that touch at a corner are connected."""
    return sum(ndimage.label(classes == c, _CORNERS_TOUCH)[1] for c in np.unique(classes))  # pyright: ignore[reportIndexIssue]


def fragmentation(maps: Maps) -> float:
    """The mean number of regions of a plane. It grows with the resolution: compare only what has the same."""
    return float(np.mean([regions(classes) for classes in maps]))

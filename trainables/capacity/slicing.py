"""How input space is sliced, to look at the decisions of networks there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainables.api import NonNegative, NonNegativeInt, PositiveInt


@dataclass(frozen=True, kw_only=True, slots=True)
class Slicing:
    count: PositiveInt = 20
    """Planes, each through three examples. All trials of one seed and one split have the same."""
    part: Literal["train", "test"] = "train"
    """Where the three examples come from."""
    classes: Literal["any", "different", "equal"] = "any"
    """Of the three examples, by their right labels. ``equal``: each class in its turn, without examples whose label is
    noise."""
    resolution: PositiveInt = 30
    """Points along each side of the grid on a plane."""
    reach: NonNegative = 0.1
    """How far the grid reaches beyond the triangle on each side, over the width and the height of the triangle."""
    inputs: PositiveInt = 20
    """Test examples whose distance to the boundary is measured."""
    directions: PositiveInt = 5
    """In which it is measured: towards other test examples."""
    picture: NonNegativeInt = 100
    """Points along each side of the pictures of the first three planes, made at the last report. 0: no pictures."""

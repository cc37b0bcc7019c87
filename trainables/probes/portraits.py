"""Decision maps as pictures."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

_COLOURS = "4e79a7 f28e2b e15759 76b7b2 59a14f edc948 b07aa1 ff9da7 9c755f bab0ac"
_GAP, _DOT = 4, 2  # pixels: between maps, and from the middle of a dot to its side


def portrait(
    maps: Int[np.ndarray, "rows planes side side"], corners: Float[np.ndarray, "planes 3 2"], reach: float
) -> UInt8[np.ndarray, "height width 3"]:
    """A picture with a row for each network and a column for each plane, on white.

    The first axis of a plane goes to the right, the second one up. Black dots are the three inputs of the plane;
    ``reach`` is that of its grid. Each class has its colour, from the eleventh on a darker one of those before.
    """
    palette = _palette(1 + maps.max())
    rows = [_row([palette[one] for one in row], corners, reach) for row in maps]
    return np.concatenate([part for row in rows for part in (row, _white(_GAP, row.shape[1]))][:-1])


def _row(
    pictures: list[UInt8[np.ndarray, "side side 3"]], corners: Float[np.ndarray, "planes 3 2"], reach: float
) -> UInt8[np.ndarray, "side width 3"]:
    parts = []
    for picture, own in zip(pictures, corners, strict=True):
        for place in _places(own, reach, len(picture)):
            near = tuple(slice(max(0, at - _DOT), at + _DOT + 1) for at in place)
            picture[near] = 0
        parts += [np.flipud(picture.swapaxes(0, 1)), _white(len(picture), _GAP)]
    return np.concatenate(parts[:-1], axis=1)


def _places(corners: Float[np.ndarray, "3 2"], reach: float, side: int) -> Int[np.ndarray, "3 2"]:
    """The point of the grid that is nearest to each corner."""
    low, high = corners.min(0), corners.max(0)
    margin = reach * (high - low)
    share = (corners - low + margin) / (high - low + 2 * margin)
    return (share * (side - 1)).round().astype(int)


def _palette(num_classes: int) -> UInt8[np.ndarray, "classes 3"]:
    first = np.array([list(bytes.fromhex(colour)) for colour in _COLOURS.split()])
    rounds = -(-num_classes // len(first))
    return np.concatenate([first * (rounds - n) // rounds for n in range(rounds)]).astype(np.uint8)


def _white(height: int, width: int) -> UInt8[np.ndarray, "height width 3"]:
    return np.full((height, width, 3), 255, np.uint8)

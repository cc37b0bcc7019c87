"""Winners on the edge of their search space: a better one may lie outside, so the space should be widened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.frames import Run
from analysis.tuned import ranges
from analysis.wording import param, plain

_EDGE = 0.03  # of the width of a space: a winner this near to its end asks for a wider space


@dataclass(frozen=True)
class Edge:
    """A winner at one end of the space of a parameter."""

    cell: str
    point: str
    parameter: str
    value: float
    end: str  # "lower" or "upper"
    low: float
    high: float

    def sentence(self) -> str:
        """Without the name of the cell."""
        return (
            f"{plain(self.parameter)} = {param(self.value)} is at the {self.end} end of its space "
            f"({param(self.low)} to {param(self.high)}), so a better one may lie outside: widen it."
        )


def edges(run: Run) -> list[Edge]:
    """By cell and winner, in the order of the sweep."""
    free = ranges(run)
    order = {cell: n for n, cell in enumerate(run.cells.index)}
    won = sorted(
        zip(run.winners["cell"], run.winners["point"], run.winners["params"], strict=True),
        key=lambda row: order.get(row[0], len(order)),
    )
    return [
        Edge(str(cell), str(point), name, value, end, free[name]["low"], free[name]["high"])
        for cell, point, params in won
        for name, value in params.items()
        if name in free and (end := end_of(free[name], value))
    ]


def end_of(space: Mapping[str, Any], value: Any) -> str:
    """Which end of its space a value touches, ``lower`` or ``upper``, if any."""
    numbers = [v for v in (space.get("low"), space.get("high"), value) if isinstance(v, int | float)]
    if len(numbers) < 3 or numbers[0] == numbers[1] or isinstance(value, bool):
        return ""
    if space.get("log"):
        if min(numbers) <= 0:
            return ""
        numbers = [math.log(v) for v in numbers]
    low, high, value = numbers
    place = (value - low) / (high - low)
    if space["low"] == 0 and place <= _EDGE:
        return ""  # zero is where such a space ends by nature: no dropout, no smoothing
    return "lower" if place <= _EDGE else "upper" if place >= 1 - _EDGE else ""

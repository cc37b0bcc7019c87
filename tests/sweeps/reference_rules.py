"""The rules that stop trials early, written from the papers, in the forms that Optuna documents.

Asynchronous successive halving (Li et al., 2020, arXiv:1810.05934), Hyperband (Li et al., 2018,
jmlr.org/papers/v18/16-558.html) and the median rule (Golovin et al., 2017, Google Vizier).
"""

from __future__ import annotations

import math
from binascii import crc32
from collections import defaultdict
from statistics import median

STEPS = 18


class Halving:
    """Of the values that came to a rung so far, the best of every ``reduction`` go on."""

    def __init__(self, grace: int, reduction: int, first_rung: int = 0) -> None:
        self.grace, self.reduction, self.first_rung = grace, reduction, first_rung
        self.rungs: dict[int, list[float]] = defaultdict(list)
        self.reached: dict[int, int] = defaultdict(int)

    def stops(self, number: int, step: int, value: float) -> bool:
        while step >= self.grace * self.reduction ** (self.first_rung + self.reached[number]):
            rung = self.rungs[self.reached[number]]
            rung.append(value)
            if value > sorted(rung)[max(1, len(rung) // self.reduction) - 1]:
                return True
            self.reached[number] += 1
        return False

    def told(self, curve: list[float]) -> None: ...


class Hyperband:
    """Several halvings that begin to stop at different steps, with their shares of the trials."""

    def __init__(self, grace: int, reduction: int, longest: int) -> None:
        count = math.floor(math.log(longest / grace, reduction)) + 1
        self.brackets = [Halving(grace, reduction, first) for first in range(count)]
        later = [count - 1 - first for first in range(count)]
        self.shares = [math.ceil(count * reduction**s / (s + 1)) for s in later]

    def stops(self, number: int, step: int, value: float) -> bool:
        place = crc32(f"curves/all_{number}".encode()) % sum(self.shares)  # as Optuna spreads them
        bracket = next(n for n in range(len(self.shares)) if place < sum(self.shares[: n + 1]))
        return self.brackets[bracket].stops(number, step, value)

    def told(self, curve: list[float]) -> None: ...


class Median:
    """Stops what has so far been worse than the median of those that have ended was at this step."""

    def __init__(self, grace: int, warmup: int) -> None:
        self.grace, self.warmup = grace, warmup
        self.ended: list[list[float]] = []
        self.best: dict[int, float] = defaultdict(lambda: math.inf)

    def stops(self, number: int, step: int, value: float) -> bool:
        self.best[number] = min(value, self.best[number])
        if len(self.ended) < self.warmup or step < self.grace:
            return False
        return self.best[number] > median(curve[step - 1] for curve in self.ended)

    def told(self, curve: list[float]) -> None:
        self.ended.append(curve)


RULES = {
    "asha": ("{name: asha, grace_steps: 2, reduction: 3}", lambda: Halving(2, 3)),
    "asha by two": ("{name: asha, grace_steps: 1, reduction: 2}", lambda: Halving(1, 2)),
    "hyperband": ("{name: hyperband, grace_steps: 1, reduction: 3}", lambda: Hyperband(1, 3, STEPS)),
    "median": ("{name: median, grace_steps: 3, warmup_points: 4}", lambda: Median(3, 4)),
}

"""Statements about many comparisons at once: that every level, or some point for every other point, is ahead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from analysis.stats import LEVEL, Effect


@dataclass(frozen=True)
class Extreme:
    """The smallest over rivals of the largest over champions of the smallest over aspects of an effect.

    ``effects[rival][champion][aspect]`` is by how much a champion leads a rival in one aspect. The extreme is above a
    bound exactly if every rival has some champion that leads it in every aspect by more than that.

    That it is above needs no correction for rivals and aspects, all of which have to be beaten (an intersection-union
    test: Berger, 1982, Technometrics 24, 295-300), and Bonferroni's over champions, of which one may be picked. That
    it is below is the mirror image: Bonferroni over rivals and aspects. Hence the two ends of the interval.
    """

    effects: tuple[tuple[tuple[Effect, ...], ...], ...]

    @property
    def value(self) -> float:
        return self._extreme(lambda effect: effect.value)

    @property
    def count(self) -> int:
        return min(effect.count for effect in self._all)

    @property
    def freedom(self) -> float:
        return min(effect.freedom for effect in self._all)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        champions, others = self._corrections
        low = self._extreme(lambda effect: effect.interval(1 - (1 - level) / champions)[0])
        high = self._extreme(lambda effect: effect.interval(1 - (1 - level) / others)[1])
        return low, high

    def p_value(self, bound: float = 0.0) -> float:
        if any(math.isnan(effect.p_value(bound)) for effect in self._all):
            return math.nan
        champions, others = self._corrections
        # A large chance is a bad lead, so largest and smallest change places.
        above = -self._extreme(lambda effect: -_p_if(effect, bound, effect.value > bound))
        below = self._extreme(lambda effect: _p_if(effect, bound, effect.value < bound))
        return min(1.0, champions * above, others * below)

    @property
    def _all(self) -> list[Effect]:
        return list(chain.from_iterable(chain.from_iterable(self.effects)))

    @property
    def _corrections(self) -> tuple[int, int]:
        """How many champions there are; how many rivals times aspects."""
        champions = self.effects[0]
        return len(champions), len(self.effects) * len(champions[0])

    def _extreme(self, number: Callable[[Effect], float]) -> float:
        """NaN if any number is NaN."""
        if any(math.isnan(number(effect)) for effect in self._all):
            return math.nan
        return min(max(min(map(number, aspects)) for aspects in champions) for champions in self.effects)


def _p_if(effect: Effect, bound: float, there: bool) -> float:
    return effect.p_value(bound) if there else 1.0

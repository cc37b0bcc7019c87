"""Which sample sizes are tried, and what was found on the way up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


def rungs(start: int, growth: float, most: int) -> tuple[int, ...]:
    """Sizes from ``start``, each ``growth`` times the one before and at least one more, up to ``most`` itself."""
    sizes = [min(start, most)]
    while sizes[-1] < most:
        sizes.append(min(most, max(sizes[-1] + 1, math.floor(sizes[-1] * growth))))
    return tuple(sizes)


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Success is not monotone near the limit, so that it takes some failures in a row to stop."""

    sizes: tuple[int, ...]
    patience: int
    tried: int = 0
    misses: int = 0  # in a row
    largest: int = 0  # that fitted

    @property
    def size(self) -> int:
        """The next one."""
        return self.sizes[self.tried]

    @property
    def over(self) -> bool:
        return self.tried == len(self.sizes) or self.misses >= self.patience

    @property
    def censored(self) -> bool:
        """Whether the largest size that there is was fitted, so that the capacity is at least that."""
        return self.largest == self.sizes[-1]

    def climbed(self, fitted: bool) -> Ladder:
        largest = self.size if fitted else self.largest
        return replace(self, tried=self.tried + 1, misses=0 if fitted else self.misses + 1, largest=largest)

    def state(self) -> dict[str, int]:
        return {"tried": self.tried, "misses": self.misses, "largest": self.largest}

    def at(self, state: dict[str, int]) -> Ladder:
        """The same ladder, where an earlier attempt has come to."""
        return replace(self, **state)

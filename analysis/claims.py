"""What a sweep may claim. Light, because the sweep language is built from it; the verdicts are in verdicts.py.

Every claim says that some effect lies in a region: a difference above zero, a ratio of at least two, a mean between
two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analysis.records import LOCK_FILE, LedgerError

Level = bool | int | float | str
Where = dict[str, Level | list[Level]]
Expect = Literal["greater", "less", "equal", "between", "ratio_at_least", "increases", "decreases"]
Cell = TypeVar("Cell", bound=Mapping[str, Any])

_COMPARED = ("greater", "less", "equal", "ratio_at_least")
_TRENDS = ("increases", "decreases")
_OWNERS = {
    "margin": ("equal",),
    "low": ("between",),
    "high": ("between",),
    "ratio": ("ratio_at_least",),
    "along": _TRENDS,
}


class Claim(BaseModel):
    """A statement about cells, tested on the confirm replicates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    metric: str = Field(min_length=1, description="The metric that is compared, at the last step.")
    where: Where = Field({}, description="Cells: factor -> level, list of levels, or pattern. Averaged if several.")
    against: Where | None = Field(None, description="The cells to compare with.")
    expect: Expect
    margin: float | None = Field(None, gt=0, description="For equal: the largest difference that does not matter.")
    low: float | None = Field(None, description="For between.")
    high: float | None = Field(None, description="For between.")
    ratio: float | None = Field(None, description="For ratio_at_least: where divided by against.")
    along: str | None = Field(None, description="For increases and decreases: a factor with numeric levels.")

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterable[str]:
        for field, owners in _OWNERS.items():
            if getattr(self, field) is not None and self.expect not in owners:
                yield f"{field} belongs to {' or '.join(owners)}, not to {self.expect}"
        if self.expect in _COMPARED and self.against is None:
            yield f"{self.expect} needs against, the cells to compare with"
        if self.against is not None and self.against == self.where:
            yield "where and against are the same cells"
        yield from self._missing()

    def _missing(self) -> Iterable[str]:
        if self.expect == "equal" and self.margin is None:
            yield "equal needs a margin"
        if self.expect == "ratio_at_least" and self.ratio is None:
            yield "ratio_at_least needs a ratio"
        if self.expect in _TRENDS and self.along is None:
            yield f"{self.expect} needs along, the factor that grows"
        if self.expect in _TRENDS and self.against is not None:
            yield f"{self.expect} takes no against"
        if self.expect == "between" and self.low is None and self.high is None:
            yield "between needs low, high or both"
        if self.low is not None and self.high is not None and self.low >= self.high:
            yield "low has to be below high"

    def region(self) -> tuple[float, float]:
        """Where the effect has to lie."""
        if self.expect in ("greater", "increases"):
            return 0.0, math.inf
        if self.expect in ("less", "decreases"):
            return -math.inf, 0.0
        if self.expect == "equal":
            return -(self.margin or 0.0), self.margin or 0.0
        if self.expect == "ratio_at_least":
            return self.ratio or 0.0, math.inf
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    def effect(self) -> str:
        """What the effect is, in words."""
        if self.expect == "ratio_at_least":
            return f"ratio of {self.metric}"
        if self.expect in _TRENDS:
            return f"change of {self.metric} per level of {self.along}"
        return self.metric if self.against is None else f"difference in {self.metric}"


def matches(label: Any, wanted: Any) -> bool:
    """Whether a level is the wanted one, is in the wanted list, or fits the wanted pattern (``mixup*``)."""
    if isinstance(wanted, list | tuple):
        return any(matches(label, one) for one in wanted)
    a, b = number(label), number(wanted)
    if a is not None and b is not None:
        return a == b
    return _text(label) == _text(wanted) or (isinstance(wanted, str) and fnmatchcase(_text(label), wanted))


def _text(level: Any) -> str:
    return str(level).lower() if isinstance(level, bool) else str(level)


def number(level: Any) -> float | None:
    """A level as a number, ``8/255`` included; None if it is none."""
    if isinstance(level, bool):
        return None
    above, _, below = str(level).partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def selected(cells: Iterable[Cell], where: Mapping[str, Any] | None) -> list[Cell]:
    """The cells, as mappings from factor to label, that ``where`` means; all of them if it is empty."""
    wanted = (where or {}).items()
    return [cell for cell in cells if all(factor in cell and matches(cell[factor], level) for factor, level in wanted)]


def claims_of(lock: Mapping[str, Any]) -> list[Claim]:
    """The claims of a resolved sweep; raises LedgerError if they cannot be read."""
    try:
        return [Claim.model_validate(claim) for claim in lock.get("claims") or []]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LedgerError(f"{LOCK_FILE}: claims: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None

"""What a sweep may claim. Light, because the sweep language is built from it; the verdicts are in verdicts.py.

Every claim says that some effect lies in a region: a difference above zero, a ratio of at least two, a mean between
two numbers.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from analysis.records import LOCK_FILE, LedgerError

Level = bool | int | float | str
Where = dict[str, Level | list[Level]]
Expect = Literal[
    "greater",
    "less",
    "equal",
    "between",
    "ratio_at_least",
    "increases",
    "decreases",
    "peaks_at",
    "front_dominates",
    "correlation_at_least",
]
Cell = TypeVar("Cell", bound=Mapping[str, Any])

_COMPARED = ("greater", "less", "equal", "ratio_at_least", "front_dominates")
_TRENDS = ("increases", "decreases")
_ALONG = (*_TRENDS, "peaks_at")
_SEVERAL = ("front_dominates", "correlation_at_least")  # these speak about several metrics
_NEVER_AGAINST = (*_ALONG, "correlation_at_least")
_STRICT = ("greater", "less", *_ALONG, "front_dominates")
_OWNERS = {
    "margin": ("equal",),
    "low": ("between", "peaks_at", "correlation_at_least"),
    "high": ("between", "peaks_at"),
    "ratio": ("ratio_at_least",),
    "along": _ALONG,
    "metrics": _SEVERAL,
}


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


def _ratio_read(value: Any) -> Any:
    """``8/255`` as a number; all else is left to pydantic."""
    return number(value) if isinstance(value, str) and "/" in value and number(value) is not None else value


_RATIO = r"^\s*[+-]?[0-9]+(\.[0-9]+)?\s*/\s*[0-9]+(\.[0-9]+)?\s*$"
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _RATIO}]}
Number = Annotated[float, BeforeValidator(_ratio_read), WithJsonSchema(_NUMBER)]


class Claim(BaseModel):
    """A statement about cells, tested on the confirm replicates."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    metric: str = Field("", description="The metric that is compared, at the last step.")
    metrics: list[str] = Field(
        [], description="For front_dominates: the objectives. For correlation_at_least: the two metrics."
    )
    where: Where = Field(
        {}, description="Cells: factor -> level, list of levels, pattern, or comparison such as '>= 32'."
    )
    against: Where | None = Field(None, description="The cells to compare with.")
    expect: Expect
    over: Literal["pooled", "each"] = Field(
        "pooled", description="The other factors: averaged over, or the claim has to hold at each of their levels."
    )
    margin: Number | None = Field(None, gt=0, description="For equal: the largest difference that does not matter.")
    low: Number | None = Field(None, description="For between, peaks_at (a level) and correlation_at_least.")
    high: Number | None = Field(None, description="For between and peaks_at (a level).")
    ratio: Number | None = Field(None, description="For ratio_at_least: where divided by against.")
    along: str | None = Field(
        None, description="For increases, decreases and peaks_at: a factor whose levels are numbers."
    )

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterable[str]:
        for field, owners in _OWNERS.items():
            if getattr(self, field) not in (None, []) and self.expect not in owners:
                yield f"{field} belongs to {' or '.join(owners)}, not to {self.expect}"
        if self.expect in _COMPARED and self.against is None:
            yield f"{self.expect} needs against, the cells to compare with"
        if self.expect in _NEVER_AGAINST and self.against is not None:
            yield f"{self.expect} takes no against"
        if self.against is not None and self.against == self.where:
            yield "where and against are the same cells"
        yield from self._missing()
        yield from self._metric_problems()
        yield from self._bound_problems()

    def _missing(self) -> Iterable[str]:
        if self.expect == "equal" and self.margin is None:
            yield "equal needs a margin"
        if self.expect == "ratio_at_least" and self.ratio is None:
            yield "ratio_at_least needs a ratio"
        if self.expect in _TRENDS and self.along is None:
            yield f"{self.expect} needs along, the factor that grows"
        if self.expect == "peaks_at" and self.along is None:
            yield "peaks_at needs along, the factor that has the peak"
        if self.expect in ("between", "peaks_at") and self.low is None and self.high is None:
            yield f"{self.expect} needs low, high or both"
        if self.expect == "correlation_at_least" and self.low is None:
            yield "correlation_at_least needs low, the smallest correlation"

    def _metric_problems(self) -> Iterable[str]:
        if self.expect not in _SEVERAL:
            if not self.metric:
                yield f"{self.expect} needs a metric"
            return
        if self.metric:
            yield f"{self.expect} takes metrics, a list, instead of metric"
        if len(set(self.metrics)) < len(self.metrics):
            yield "a metric is there twice"
        if self.expect == "correlation_at_least" and self.over == "each":
            yield "correlation_at_least is over cells, so it takes no over: each"
        if self.expect == "correlation_at_least" and len(self.metrics) != 2:
            yield "correlation_at_least needs two metrics"
        if self.expect == "front_dominates" and len(self.metrics) < 2:
            yield "front_dominates needs two or more metrics"

    def _bound_problems(self) -> Iterable[str]:
        one_level = self.expect == "peaks_at" and self.low == self.high
        if self.low is not None and self.high is not None and self.low >= self.high and not one_level:
            yield "low has to be below high"
        if self.expect == "correlation_at_least" and self.low is not None and not -1 <= self.low < 1:
            yield "a correlation is at least -1 and below 1"

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """The metrics that the claim is about."""
        return tuple(self.metrics) or (self.metric,)

    @property
    def strict(self) -> bool:
        """Whether the ends of the region are outside: "greater" wants more than nothing, "between" takes its ends."""
        return self.expect in _STRICT

    def includes(self, level: float) -> bool:
        """For peaks_at: whether a level lies between ``low`` and ``high``, apart from rounding."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= level <= high or any(math.isclose(level, bound, rel_tol=1e-9) for bound in (low, high))

    def region(self) -> tuple[float, float]:
        """Where the effect has to lie."""
        if self.expect in ("greater", "increases", "peaks_at", "front_dominates"):
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
        if self.expect == "peaks_at":
            return f"{self.metric} at the highest level of {self.along} inside, minus outside"
        if self.expect == "front_dominates":
            return f"smallest lead of the front, in ranges of {' and '.join(self.metrics)}"
        if self.expect == "correlation_at_least":
            return f"rank correlation of {' and '.join(self.metrics)}"
        return self.metric if self.against is None else f"difference in {self.metric}"


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"\s*(>=|<=|!=|>|<)\s*(\S+)\s*")


def matches(label: Any, wanted: Any) -> bool:
    """Whether a level is the wanted one, is in the wanted list, or fits the pattern (``mix*``) or comparison (``> 8``).

    Comparisons that are joined by commas have to be true together: ``>= 8, < 64``.
    """
    if isinstance(wanted, list | tuple):
        return any(matches(label, one) for one in wanted)
    a, b = number(label), number(wanted)
    if a is not None and b is not None:
        return a == b
    if _text(label) == _text(wanted):
        return True
    if isinstance(wanted, str) and (comparisons := _comparisons(wanted)):
        return a is not None and all(compare(a, bound) for compare, bound in comparisons)
    return isinstance(wanted, str) and fnmatchcase(_text(label), wanted)


def _comparisons(wanted: str) -> list[tuple[Callable[[float, float], bool], float]]:
    """The comparisons with numbers that a text consists of; none if it is anything else."""
    found = [_COMPARISON.fullmatch(part) for part in wanted.split(",")]
    pairs = [(_OPERATORS[match[1]], bound) for match in found if match and (bound := number(match[2])) is not None]
    return pairs if len(pairs) == len(found) else []


def _text(level: Any) -> str:
    return str(level).lower() if isinstance(level, bool) else str(level)


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

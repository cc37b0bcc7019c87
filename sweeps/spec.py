"""The YAML document as typed models: what each key means and which values it takes.

``document.py`` reads the text, ``resolve.py`` applies ``extends``, ``scales`` and ``--set``, these models type the
result, and ``check.py`` holds it against the trainable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag, field_validator, model_validator
from typing_extensions import TypedDict

from analysis.claims import Claim
from sweeps.spec_run import Checkpoints, Limits, Resources, Scheduler, Search, Seeds
from sweeps.values import MetricName, Model, Name, Number, NumberOrName, Scalar, by_kind, fault
from trainables.config import nearest

# --- factors ---------------------------------------------------------------------------------------------------------


class Linear(Model):
    """Levels at equal distances, both ends included. Two ints make int levels."""

    linear: tuple[Number, Number] = Field(strict=False)
    levels: int = Field(ge=2, le=1000)


class Geometric(Model):
    """Levels at equal ratios, both ends included. Two ints make int levels."""

    geometric: tuple[Number, Number] = Field(strict=False)
    levels: int = Field(ge=2, le=1000)

    @model_validator(mode="after")
    def _positive(self) -> Geometric:
        if min(self.geometric) <= 0:
            raise fault("a geometric range of numbers that are not positive", "geometric", "ends above 0")
        return self


def _levels_kind(value: Any) -> str | None:
    if isinstance(value, list):
        return "list"
    keys = [nearest(key, ["linear", "geometric"]) for key in value] if isinstance(value, Mapping) else []
    return next((key for key in keys if key), "linear" if isinstance(value, Mapping) else None)


Levels = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("|list")]
    | Annotated[Linear, Tag("|linear")]
    | Annotated[Geometric, Tag("|geometric")],
    by_kind("a list of levels, or {linear or geometric: [first, last], levels: n}", _levels_kind),
]
"""The levels of a factor: a list (of scalars, or of mappings with a ``label``), or a range."""


# --- nuisance --------------------------------------------------------------------------------------------------------


def _list_or_scalar(value: Any) -> str:
    return "list" if isinstance(value, list) else "scalar"


When = dict[
    str,
    Annotated[
        Annotated[Scalar, Tag("|scalar")] | Annotated[list[Scalar], Field(min_length=1), Tag("|list")],
        by_kind("a value or a list of values", _list_or_scalar),
    ],
]
"""Factor or nuisance parameter -> the value, or the values, under which this parameter exists."""


class Range(Model):
    """A number between ``low`` and ``high``. Two ints make an int parameter."""

    low: Number
    high: Number
    log: bool = Field(default=False, description="search on a logarithmic scale")
    step: Number | None = Field(default=None, description="only low, low + step, ...")
    levels: int | None = Field(default=None, ge=1, le=1000, description="how many values the grid sampler tries")
    when: When = Field(default_factory=dict, description="only where these have these values")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise fault(f"the range is empty: low {self.low} is above high {self.high}", "low")
        if self.log and self.low <= 0:
            raise fault("a logarithmic range of numbers that are not positive", "low", "low above 0")
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: int | float) -> None:
        if self.log:
            raise fault("log and step exclude each other", "step")
        if step <= 0:
            raise fault("out of range", "step", "a step above 0")
        if self.is_int and not isinstance(step, int):
            raise fault("wrong type", "step", "an integer step between integer ends, or ends such as 0.0")
        count = (self.high - self.low) / step
        if abs(count - round(count)) > 1e-6:
            last = self.low + math.floor(count) * step
            raise fault("the steps do not end at high", "high", f"low + k * step, such as {last:.12g}")

    @property
    def is_int(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


class Choice(Model):
    """One of a list of scalars."""

    choices: list[Scalar] = Field(min_length=1)
    when: When = Field(default_factory=dict, description="only where these have these values")

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: list[Scalar]) -> list[Scalar]:
        seen = [(type(c), c) for c in choices]
        if twice := [c for i, c in enumerate(choices) if (type(c), c) in seen[:i]]:
            raise fault(f"the choice {twice[0]!r} is there twice")
        return choices


def _parameter_kind(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None
    return "choice" if any(nearest(key, ["choices"]) for key in value) else "range"


Parameter = Annotated[
    Annotated[Range, Tag("|range")] | Annotated[Choice, Tag("|choice")],
    by_kind("{low: a, high: b} or {choices: [a, b]}", _parameter_kind),
]


# --- what is wanted --------------------------------------------------------------------------------------------------


class MeanOfLast(TypedDict):
    """The mean over the last so many reports."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    mean_of_last: Annotated[int, Field(ge=1)]


Goal = Literal["maximize", "minimize"]
At = Annotated[
    Annotated[Literal["last", "best"], Tag("|text")] | Annotated[MeanOfLast, Tag("|meanoflast")],
    by_kind(
        "last, best or {mean_of_last: k}",
        lambda value: {str: "text", dict: "meanoflast"}.get(type(value)),
    ),
]


class Objective(Model):
    """What the search optimises: exactly one of ``maximize`` and ``minimize``."""

    maximize: MetricName | None = None
    minimize: MetricName | None = None
    at: At = Field(default="last", description="which reports of a trial count")

    @model_validator(mode="after")
    def _one_goal(self) -> Objective:
        if (self.maximize is None) == (self.minimize is None):
            raise fault("an objective without a goal, or with two", expected="exactly one of maximize and minimize")
        return self

    @property
    def metric(self) -> str:
        return self.maximize or self.minimize or ""

    @property
    def goal(self) -> Goal:
        return "maximize" if self.maximize else "minimize"

    @property
    def key(self) -> str:
        """Names the value that the search sees: the metric, and which reports count if not the last."""
        if isinstance(self.at, dict):
            return f"{self.metric}@mean_of_last_{self.at['mean_of_last']}"
        return self.metric if self.at == "last" else f"{self.metric}@{self.at}"


Objectives = Annotated[
    Annotated[Objective, Tag("|objective")] | Annotated[list[Objective], Field(min_length=1), Tag("|list")],
    by_kind(
        "{maximize or minimize: metric}, or a list of such",
        lambda value: "list" if isinstance(value, list) else "objective" if isinstance(value, Mapping) else None,
    ),
]


class Bound(Model):
    """Limits of a reported metric, or of a nuisance parameter by another one."""

    at_most: NumberOrName | None = None
    at_least: NumberOrName | None = None

    @model_validator(mode="after")
    def _some(self) -> Bound:
        if self.at_most is None and self.at_least is None:
            raise fault("a constraint without a limit", expected="at_most or at_least")
        return self


class Sweep(Model):
    """One question, asked of one trainable."""

    sweep: Name
    question: str = Field(min_length=1, max_length=500)
    source: str = ""
    trainable: str = Field(min_length=1, description="area.name, my_package.my_module, or my_file.py:function")
    extends: str | None = Field(default=None, description="another sweep file that this one changes")
    fixed: dict[str, Any] = Field(default_factory=dict, description="config values that are the same in every trial")
    factors: dict[str, Levels] = Field(default_factory=dict, description="compared: every combination is a cell")
    zip: list[Annotated[list[str], Field(min_length=2)]] = Field(
        default_factory=list, description="groups of factors whose levels go together, first with first"
    )
    exclude: list[Annotated[dict[str, Scalar], Field(min_length=1)]] = Field(
        default_factory=list, description="cells that are left out"
    )
    nuisance: dict[str, Parameter] = Field(default_factory=dict, description="tuned separately in every cell")
    constraints: dict[str, Bound] = Field(
        default_factory=dict, description="limits of reported metrics, or of nuisance parameters by each other"
    )
    objective: Objectives
    search: Search = Field(default_factory=Search)
    scheduler: Scheduler = Field(default_factory=Scheduler)
    seeds: Seeds = Field(default_factory=Seeds)
    resources: Resources = Field(default_factory=Resources)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    limits: Limits = Field(default_factory=Limits)
    claims: list[Claim] = Field(default_factory=list, description="what the sweep expects; the report judges it")
    scales: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="named overrides of this file, chosen with --scale"
    )

    @field_validator("claims")
    @classmethod
    def _names_differ(cls, claims: list[Claim]) -> list[Claim]:
        names = [claim.name for claim in claims]
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise fault(f"two claims have the name {twice[0]!r}")
        return claims

    @property
    def objectives(self) -> list[Objective]:
        return self.objective if isinstance(self.objective, list) else [self.objective]

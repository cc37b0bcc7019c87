"""What the models of a sweep file are made of: base, numbers and scalars, and how they refuse in words of ours."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from trainables.config import number

FAULT = "fault"


def fault(what: str, at: str = "", expected: str = "") -> PydanticCustomError:
    """An error in our own words; ``at`` is the key it is about, if it is not about the value as a whole."""
    return PydanticCustomError(FAULT, "{what}", {"what": what, "at": at, "expected": expected})


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def by_kind(expected: str, tag: Callable[[Any], str | None]) -> Discriminator:
    """Picks the alternative of a union by ``tag(value)``, so that errors are those of the one that was meant.

    Tags start with a bar, so that they cannot be mistaken for keys in the place of an error.
    """

    def pick(value: Any) -> str | None:
        found = type(value).__name__.lower() if isinstance(value, Model) else tag(value)
        return f"|{found}" if found else None

    return Discriminator(
        pick,
        custom_error_type=FAULT,
        custom_error_message="{what}",
        custom_error_context={"what": "wrong type", "at": "", "expected": expected},
    )


def _real(value: Any) -> int | float:
    value = number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault("wrong type", expected="a number")
    if not math.isfinite(value):
        raise fault("not finite", expected="a finite number")
    return value


def _real_or_name(value: Any) -> int | float | str:
    value = number(value)
    return value if isinstance(value, str) and value else _real(value)


def _scalar(value: Any) -> bool | int | float | str:
    if not isinstance(value, bool | int | float | str):
        raise fault("wrong type", expected="a number, text, true or false")
    return value


_UNITS = {"": 1, **{f"{prefix}B": 1000**n for n, prefix in enumerate(["", "k", "M", "G", "T"])}}
_UNITS |= {f"{prefix}iB": 1024**n for n, prefix in enumerate(["K", "M", "G", "T"], start=1)}
_BYTES = r"^\s*([0-9]+(\.[0-9]+)?)\s*(|B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$"


def _size(value: Any) -> int:
    found = re.fullmatch(_BYTES, str(value)) if type(value) in (int, float, str) else None
    if not found or float(found[1]) <= 0:
        raise fault("not a size", expected="a number of bytes above 0, such as 20GB, 500MB or 16GiB")
    return int(float(found[1]) * _UNITS[found[3]])


_RATIO = r"^\s*[+-]?[0-9]+(\.[0-9]+)?\s*/\s*[0-9]+(\.[0-9]+)?\s*$"

_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _RATIO}]}

Number = Annotated[int | float, BeforeValidator(_real), WithJsonSchema(_NUMBER)]
"""A finite number, ints kept as ints; ``8/255`` is read as the nearest float."""

Positive = Annotated[Number, Gt(0), WithJsonSchema({**_NUMBER, "exclusiveMinimum": 0})]
NonNegative = Annotated[Number, Ge(0), WithJsonSchema({**_NUMBER, "minimum": 0})]

NumberOrName = Annotated[
    int | float | str, PlainValidator(_real_or_name), WithJsonSchema({"type": ["number", "string"]})
]
Scalar = Annotated[
    bool | int | float | str, PlainValidator(_scalar), WithJsonSchema({"type": ["boolean", "number", "string"]})
]
Bytes = Annotated[int, PlainValidator(_size), WithJsonSchema({"type": ["number", "string"], "pattern": _BYTES})]
"""A size on disk or in memory: bytes, or text such as ``20GB`` (powers of 1000) or ``16GiB`` (of 1024)."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
MetricName = Annotated[str, Field(min_length=1, max_length=200)]

"""Reads what a trainable reports: a step, and metrics as plain floats."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any


class ReportError(Exception):
    """A report that is no mapping of metrics to numbers; one line."""


def read_report(reported: Any, last: int) -> tuple[int, dict[str, float]]:
    """The step of a report, and its metrics as floats. ``last`` is the step before, -1 at the first."""
    if not isinstance(reported, Mapping):
        raise ReportError(f"reported {_shown(reported)}, expected a mapping from metric to number")
    values = dict(reported)
    step = _step(values.pop("step", max(last, 0) + 1), last)
    if not values:
        raise ReportError(f"reported no metric at step {step}")
    return step, {_name(name): _number(name, value) for name, value in values.items()}


def _step(value: Any, last: int) -> int:
    value = _item(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ReportError(f"step: got {_shown(value)}, expected an int, 0 or above")
    if value <= last:
        raise ReportError(f"step: got {value} after {last}; steps have to grow, also when a trial goes on")
    return int(value)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ReportError(f"metric name: got {_shown(name)}, expected text")
    return name


def _number(name: str, value: Any) -> float:
    value = _item(value)
    if not isinstance(value, numbers.Real):
        raise ReportError(f"metric {name!r}: got {_shown(value)}, expected a number")
    try:
        return float(value)
    except OverflowError:
        raise ReportError(f"metric {name!r}: got a number too large for a float") from None


def _item(value: Any) -> Any:
    """A numpy number or a tensor without dimensions as a plain number."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _shown(value: Any) -> str:
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if value is None:
        return "None"
    if shape is not None:
        return f"a {kind} of shape {tuple(shape)}"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"

"""What each kind of record has to hold. Standard library only, as every command reads ledgers.

A ledger may come from a stranger, or from a disk that lies: whoever reads one can rely on what is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Check = Callable[[Any], bool]

_LARGEST = 2**63 - 1
_ODD_NUMBERS = ("NaN", "Infinity", "-Infinity")  # as JSON cannot hold them
_SCALARS = (bool, int, float, str, type(None))


def _text(value: Any) -> bool:
    return type(value) is str


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _number(value: Any) -> bool:
    if type(value) is int:
        return -_LARGEST <= value <= _LARGEST
    return type(value) is float or (type(value) is str and value in _ODD_NUMBERS)


def _seconds(value: Any) -> bool:
    return value is None or type(value) is float or _count(value)


def _truth(value: Any) -> bool:
    return type(value) is bool


def _mapping(value: Any) -> bool:
    return type(value) is dict


def _numbers_by_name(value: Any) -> bool:
    return type(value) is dict and all(map(_number, value.values()))


def _scalars_by_name(value: Any) -> bool:
    return type(value) is dict and all(type(item) in _SCALARS for item in value.values())


def _texts(value: Any) -> bool:
    return type(value) is list and all(map(_text, value))


def _numbers(value: Any) -> bool:
    return type(value) is list and all(map(_number, value))


def _phase(value: Any) -> bool:
    return value in ("tune", "confirm")


def _state(value: Any) -> bool:
    return value in ("COMPLETE", "PRUNED", "FAIL")


_ENDING: Mapping[str, Check] = {"trial": _text, "attempt": _count, "seconds": _seconds, "error": _text}
_POINT: Mapping[str, Check] = {"cell": _text, "number": _count}

_NEEDED: Mapping[str, Mapping[str, Check]] = {
    "run": {"event": _text},
    "cell": {"cell": _text, "levels": _scalars_by_name},
    "asked": {**_POINT, "point": _text, "params": _scalars_by_name},
    "planned": {"trial": _text, "cell": _text, "phase": _phase, "point": _text, "seed": _count, "config": _mapping},
    "started": {"trial": _text, "attempt": _count},
    "judged": {**_POINT, "step": _count, "value": _number, "prune": _truth},
    **dict.fromkeys(("done", "pruned", "diverged", "failed", "cancelled", "lost"), _ENDING),
    "told": {**_POINT, "state": _state, "values": _numbers},
    "winner": {"cell": _text, "points": _texts},
    "confirm": {"cell": _text, "seeds": _count, "most": _count},
    "report": {"trial": _text, "attempt": _count, "step": _count, "metrics": _numbers_by_name},
    "note": {"trial": _text, "attempt": _count, "key": _text, "value": lambda _: True},
}
_ANYWHERE: Mapping[str, Check] = {"trial": _text, "cell": _text}
_OPTIONAL: Mapping[str, Mapping[str, Check]] = {
    "run": {**_ANYWHERE, "cells": _texts, "seconds": _seconds},
    "cell": {"search": _text},
    "done": {"values": _numbers_by_name},
}


def fault(record: Mapping[str, Any]) -> str:
    """Which field of a record is not what it should be, and what it is instead; empty if all are. Other kinds pass."""
    kind = record["kind"]
    for name, fits in _needed(kind).items():
        if name not in record:
            return f"{kind}: {name} is missing"
        if not fits(record[name]):
            return f"{kind}: {name} is {ascii(record[name])[:60]}"
    for name, fits in _OPTIONAL.get(kind, _ANYWHERE).items():
        if name in record and not fits(record[name]):
            return f"{kind}: {name} is {ascii(record[name])[:60]}"
    if record.get("state") == "COMPLETE" and not record["values"]:
        return f"{kind}: values are missing"
    return ""


@cache
def _needed(kind: str) -> Mapping[str, Check]:
    return {"time": _number, **_NEEDED.get(kind, {})}

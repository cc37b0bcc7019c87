"""Checks every value that a trial may get against the ``Config`` of its trainable."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps import space
from sweeps.document import Document, KeyPath
from sweeps.errors import Mark, Message, message, one_of
from sweeps.space import Cell, Point
from sweeps.spec import Choice, Parameter, Range, Sweep
from trainables.config import Problem, hint_at
from trainables.registry import Trainable


@dataclass
class _Found:
    """One problem, with the checked cells that have it."""

    mark: Mark
    problem: Problem
    cells: list[Cell] = field(default_factory=list)


def check_config(sweep: Sweep, trainable: Trainable, cells: Sequence[Cell], document: Document) -> Iterator[Message]:
    """Unknown fields, wrong types and values out of range, in every cell where the parameter exists."""
    found: dict[tuple[Mark, str, str], _Found] = {}
    tried = representative(cells)
    for cell in tried:
        for point in _points(space.parameters(sweep, cell)):
            for problem in _problems(trainable, space.config(sweep, cell, point)):
                mark = _mark(problem, sweep, cell, point, document)
                entry = found.setdefault((mark, problem.what, problem.got), _Found(mark, problem))
                entry.cells += [] if cell in entry.cells else [cell]
    yield from (_message(entry, everywhere=len(entry.cells) == len(tried)) for entry in found.values())
    yield from _int_ranges(sweep, trainable, tried, document)


def representative(cells: Iterable[Cell]) -> list[Cell]:
    """Some of the cells, such that every pair of levels occurs: what a config lacks shows in one level or in two."""
    chosen, seen = [], set()
    for cell in cells:
        levels = sorted(cell.levels.items())
        pairs = {*itertools.combinations(levels, 2), *levels} or {()}
        if pairs - seen:
            seen |= pairs
            chosen.append(cell)
    return chosen


class _Forced:
    """Suggests the values that it was given, and the lowest or first ones for all else."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        del high, step, log
        return self.values.get(name, low)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        del high, step, log
        return self.values.get(name, low)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.values.get(name, choices[0])


def _points(there: Mapping[str, Parameter]) -> Iterator[Point]:
    """Points in which both ends of every range occur, and every choice, with what their ``when`` asks for."""
    yield space.suggest(_Forced({}), there)
    for name, parameter in there.items():
        for value in _extremes(parameter):
            yield space.suggest(_Forced({**_asked_for(name, there), name: value}), there)


def _extremes(parameter: Parameter) -> list[Any]:
    if isinstance(parameter, Choice):
        return list(parameter.choices)
    return [parameter.low, parameter.high] if parameter.is_int else [float(parameter.low), float(parameter.high)]


def _asked_for(name: str, there: Mapping[str, Parameter]) -> dict[str, Any]:
    """Values of other parameters under which ``name`` exists."""
    values: dict[str, Any] = {}
    for other, wanted in there[name].when.items():
        if other in there:
            values |= {**_asked_for(other, there), other: wanted[0] if isinstance(wanted, list) else wanted}
    return values


def _problems(trainable: Trainable, config: Mapping[str, Any]) -> list[Problem]:
    try:
        return trainable.validate(config)
    except Exception as error:  # noqa: BLE001 - a Config runs code of the user
        return [Problem((), f"the Config raised {type(error).__name__}", " ".join(str(error).split()))]


# --- whose fault it is -----------------------------------------------------------------------------------------------


def _mark(problem: Problem, sweep: Sweep, cell: Cell, point: Point, document: Document) -> Mark:
    """The place of the value that is wrong, or of its key if there should be none."""
    path, on_key = problem.path, problem.what == "unknown field"
    place = _parameter(path, sweep, point) or _level(path, sweep, cell) or ("fixed", *path)
    place = place[:2] if on_key and place[0] == "nuisance" else place
    while len(place) > 1 and not document.root.has(place):
        place = place[:-1]
    if place == ("fixed",) and not document.root.has(place):
        return document.value_at(("trainable",))
    return document.key_at(place) if on_key else document.value_at(place)


def _parameter(path: tuple[str, ...], sweep: Sweep, point: Point) -> KeyPath | None:
    name = _owner(path, point)
    if name is None:
        return None
    parameter, place = sweep.nuisance[name], ("nuisance", name)
    if isinstance(parameter, Range):
        return (*place, "low" if point[name] == parameter.low else "high")
    return (*place, "choices", [(type(c), c) for c in parameter.choices].index((type(point[name]), point[name])))


def _level(path: tuple[str, ...], sweep: Sweep, cell: Cell) -> KeyPath | None:
    name = _owner(path, cell.levels)
    if name is None:
        return None
    labels = [space.label(level) for level in space.levels(sweep.factors[name])]
    return ("factors", name, labels.index(cell.levels[name]), *path[name.count(".") + 1 :])


def _owner(path: tuple[str, ...], names: Iterable[str]) -> str | None:
    """The name that sets ``path``, or something above or below it; the longest one if there are several."""
    split = {name: tuple(name.split(".")) for name in names}
    fitting = [name for name, parts in split.items() if path[: len(parts)] == parts or parts[: len(path)] == path]
    return max(fitting, key=len, default=None) if path else None


def _message(found: _Found, *, everywhere: bool) -> Message:
    problem, name = found.problem, ".".join(found.problem.path)
    near = ".".join((*problem.path[:-1], problem.nearest)) if problem.nearest else ""
    expected = "" if near or not problem.expected else _shortened(problem.expected)
    where = "" if everywhere else _where(found.cells)
    if problem.what == "unknown field":
        return message(found.mark, f"unknown field{where}", repr(name), expected, near)
    if problem.what == "missing field":
        return message(found.mark, f"missing field {name!r}{where}")
    what = f"{problem.what} of {name}" if name else problem.what
    return message(found.mark, what, problem.got, expected, problem.nearest)


def _where(cells: list[Cell]) -> str:
    """What the cells have in common."""
    common = set.intersection(*(set(cell.levels.items()) for cell in cells))
    return " where " + ", ".join(f"{name} is {label}" for name, label in sorted(common)) if common else ""


def _shortened(expected: str) -> str:
    names = expected.removeprefix("one of ").split(", ")
    return one_of(names) if expected.startswith("one of ") else expected


# --- ints that were meant as floats ----------------------------------------------------------------------------------


def _int_ranges(sweep: Sweep, trainable: Trainable, cells: Iterable[Cell], document: Document) -> Iterator[Message]:
    """``{low: 0, high: 1}`` has two values; on a float field that is hardly ever meant."""
    if trainable.config is None:
        return
    for cell in cells:
        there = space.parameters(sweep, cell)
        for name, parameter in there.items():
            if isinstance(parameter, Range) and parameter.is_int and parameter.step is None:
                config = space.config(sweep, cell, space.suggest(_Forced(_asked_for(name, there)), there))
                if _is_float(trainable.config, config, tuple(name.split("."))):
                    low, high = f"{{low: {parameter.low}, high: {parameter.high}}}", "ends such as 0.0, or a step"
                    yield message(document.value_at(("nuisance", name)), f"integers for the float {name}", low, high)


def _is_float(cls: type, config: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    try:
        hint = hint_at(cls, config, path)
    except (KeyError, StopIteration):
        return False
    return float in (hint, *getattr(hint, "__args__", ()))

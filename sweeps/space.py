"""Factors become cells; nuisance parameters become what Optuna is asked to suggest; both become a trial's config."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sweeps.spec import Bound, Choice, Geometric, Levels, Linear, Parameter, Scalar, Sweep, When


@dataclass(frozen=True)
class Cell:
    """One combination of factor levels."""

    id: str
    levels: Mapping[str, str] = field(default_factory=dict)  # factor -> label
    values: Mapping[str, Any] = field(default_factory=dict)  # factor -> value, without its label


Point = Mapping[str, Scalar]
"""Nuisance parameter -> value."""


class Suggester(Protocol):
    """The part of ``optuna.Trial`` that proposes values."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


# --- factors -> cells ------------------------------------------------------------------------------------------------


def levels(factor: Levels) -> list[Any]:
    """The values of a factor, ranges written out."""
    if isinstance(factor, Linear):
        low, high = factor.linear
        return _whole(factor.linear, [low + (high - low) * t for t in _steps(factor.levels)])
    if isinstance(factor, Geometric):
        low, high = factor.geometric
        return _whole(factor.geometric, [low * (high / low) ** t for t in _steps(factor.levels)])
    return list(factor)


def _steps(n: int) -> list[float]:
    return [i / (n - 1) for i in range(n)]


def _whole(ends: tuple[Any, Any], values: list[float]) -> list[Any]:
    if all(isinstance(end, int) for end in ends):
        return [round(v) for v in values]
    return [float(f"{v:.12g}") for v in values[:-1]] + [float(ends[1])]


def label(level: Any) -> str:
    """How a level is named in tables: its label, or its value."""
    if isinstance(level, Mapping):
        return str(level["label"]) if "label" in level else json.dumps(level, sort_keys=True)
    return json.dumps(level) if isinstance(level, bool | list) or level is None else str(level)


def _value(level: Any) -> Any:
    return {k: v for k, v in level.items() if k != "label"} if isinstance(level, Mapping) else level


def cells(sweep: Sweep) -> list[Cell]:
    """Every combination of factor levels that is not excluded, in the order of the file."""
    found = (_cell(dict(itertools.chain(*combination))) for combination in itertools.product(*_axes(sweep)))
    return [cell for cell in found if not any(matches(cell, exclude) for exclude in sweep.exclude)]


def _axes(sweep: Sweep) -> Iterator[list[tuple[tuple[str, Any], ...]]]:
    """One axis per factor or zipped group; a place on it sets one or several factors."""
    grouped = {name: tuple(group) for group in sweep.zip for name in group}
    for names in dict.fromkeys(grouped.get(name, (name,)) for name in sweep.factors):
        columns = [[(name, level) for level in levels(sweep.factors[name])] for name in names]
        yield list(zip(*columns, strict=True))


def _cell(chosen: Mapping[str, Any]) -> Cell:
    labels = {factor: label(level) for factor, level in chosen.items()}
    name = ",".join(f"{factor}={text}" for factor, text in labels.items()) or "all"
    return Cell(safe_name(name), labels, {factor: _value(level) for factor, level in chosen.items()})


def safe_name(text: str, limit: int = 120) -> str:
    """``text`` as the name of a folder: nothing that leads elsewhere, and still different from any other."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", text).lstrip(".")[:limit]
    return safe if safe == text else f"{safe[: limit - 9]}~{digest(text)[:8]}"


def matches(cell: Cell, condition: When | Mapping[str, Scalar]) -> bool:
    """Whether the cell has each of these levels, given as value or as label, or one of a list of them."""
    return all(any(_is(cell, name, v) for v in _listed(wanted)) for name, wanted in condition.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is(cell: Cell, name: str, wanted: Any) -> bool:
    return cell.levels.get(name) == label(wanted) or _lookup(cell.values, name) == wanted


def _lookup(values: Mapping[str, Any], name: str) -> Any:
    """The value at a dotted name that is a factor, or lies inside the mapping of one."""
    for factor, value in values.items():
        if name == factor:
            return value
        if name.startswith(f"{factor}.") and isinstance(value, Mapping):
            return _lookup(value, name[len(factor) + 1 :])
    return None


# --- nuisance -> suggestions -----------------------------------------------------------------------------------------


def parameters(sweep: Sweep, cell: Cell) -> dict[str, Parameter]:
    """The nuisance parameters that exist in this cell, each after those that its ``when`` names."""
    there: dict[str, Parameter] = {}
    for name in _ordered(sweep.nuisance):
        on_factors = {k: v for k, v in sweep.nuisance[name].when.items() if k not in sweep.nuisance}
        on_parameters = [k for k in sweep.nuisance[name].when if k in sweep.nuisance]
        if matches(cell, on_factors) and all(k in there for k in on_parameters):
            there[name] = sweep.nuisance[name]
    return there


def _ordered(nuisance: Mapping[str, Parameter]) -> list[str]:
    """Names in the order of the file, except that what a ``when`` names comes first. Raises ValueError on a cycle."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError("`when` goes round in a circle: " + " -> ".join((*path, name)))
        for other in nuisance[name].when:
            if other in nuisance and other not in done:
                visit(other, (*path, name))
        if name not in done:
            done.append(name)

    for name in nuisance:
        visit(name, ())
    return done


def _active(parameter: Parameter, point: Point, space: Mapping[str, Parameter]) -> bool:
    return all(point.get(name) in _listed(wanted) for name, wanted in parameter.when.items() if name in space)


def suggest(trial: Suggester, space: Mapping[str, Parameter]) -> Point:
    """Ask for a value of every parameter that exists, given the values before it."""
    point: dict[str, Scalar] = {}
    for name, parameter in space.items():
        if _active(parameter, point, space):
            point[name] = _suggest(trial, name, parameter)
    return point


def _suggest(trial: Suggester, name: str, parameter: Parameter) -> Scalar:
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(name, parameter.choices)
    low, high, step = parameter.low, parameter.high, parameter.step
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=int(step or 1), log=parameter.log)
    return trial.suggest_float(name, float(low), float(high), step=step, log=parameter.log)


def grid(space: Mapping[str, Parameter]) -> list[Point]:
    """Every point of the grid, in order, each once. Raises ValueError for a range without levels, step or ints."""
    columns = [[(name, value) for value in _grid_values(name, p)] for name, p in space.items()]
    points = [_pruned(dict(combination), space) for combination in itertools.product(*columns)]
    return list({json.dumps(p, sort_keys=True): p for p in points}.values())


def _pruned(values: Point, space: Mapping[str, Parameter]) -> Point:
    point: dict[str, Scalar] = {}
    for name, parameter in space.items():
        if _active(parameter, point, space):
            point[name] = values[name]
    return point


def _grid_values(name: str, parameter: Parameter) -> list[Scalar]:
    if isinstance(parameter, Choice):
        return list(parameter.choices)
    if parameter.levels == 1:
        return [parameter.low]
    if parameter.levels:
        ends = (parameter.low, parameter.high)
        spread = Geometric(geometric=ends, levels=parameter.levels) if parameter.log else None
        return list(dict.fromkeys(levels(spread or Linear(linear=ends, levels=parameter.levels))))
    step = parameter.step or (1 if parameter.is_int else None)
    if step is None:
        raise ValueError(f"the grid needs `levels` or `step` for {name}")
    count = int((parameter.high - parameter.low) / step + 1e-9)
    return [parameter.low + i * step for i in range(count + 1)]


def broken(point: Point, constraints: Mapping[str, Bound]) -> dict[str, float]:
    """Constraint between parameters -> by how much the point breaks it. A parameter that is absent binds nothing."""

    def over(value: Any, limit: Any, sign: int) -> float:
        limit = point.get(limit) if isinstance(limit, str) else limit
        return 0.0 if value is None or limit is None else sign * (value - limit)

    found = {
        n: max(over(point.get(n), b.at_most, 1), over(point.get(n), b.at_least, -1)) for n, b in constraints.items()
    }
    return {name: excess for name, excess in found.items() if excess > 0}


# --- everything -> config --------------------------------------------------------------------------------------------


def config(sweep: Sweep, cell: Cell, point: Point) -> dict[str, Any]:
    """The nested config of a trial: what is fixed, then the levels of the cell, then the point."""
    nested = copy.deepcopy(dict(sweep.fixed))
    for name, value in cell.values.items():
        set_at(nested, name, copy.deepcopy(value))
    for name, value in point.items():
        set_at(nested, name, value)
    return nested


def set_at(nested: dict[str, Any], name: str, value: Any) -> None:
    """Set the value at a dotted name, making the mappings on the way. A component given by name alone gets fields."""
    *way, last = name.split(".")
    for key in way:
        inner = nested.get(key)
        nested[key] = inner if isinstance(inner, dict) else {} if inner is None else {"name": inner}
        nested = nested[key]
    nested[last] = value


# --- identity --------------------------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, as 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def point_id(point: Point) -> str:
    """Eight hex digits that name a point, the same in every run."""
    return digest(dict(point))[:8]


def trial_id(trainable: str, resolved: Mapping[str, Any], seed: int) -> str:
    """Twelve hex digits: a hash of resolved config, trainable and seed, and of nothing else."""
    return digest({"trainable": trainable, "config": resolved, "seed": seed})[:12]

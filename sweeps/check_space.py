"""Checks of what is compared and tuned: factors, zip, exclude, nuisance, when, constraints between parameters.

Nothing here needs the trainable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sweeps import space
from sweeps.document import Document, KeyPath
from sweeps.errors import Message, message, shown, unknown
from sweeps.space import Cell
from sweeps.spec import Bound, Choice, Range, Sweep, When

MAX_CELLS = 20_000


def check_factors(sweep: Sweep, document: Document) -> Iterator[Message]:
    """Everything that has to hold before the cells can be made."""
    told_apart = _told_apart(sweep)
    for name, factor in sweep.factors.items():
        path, may_repeat = ("factors", name), name in told_apart
        twice = list(_check_levels(path, space.levels(factor), document, may_repeat=may_repeat))
        yield from twice if isinstance(factor, list) else twice[:1]
    yield from _check_zip(sweep, document)


def _told_apart(sweep: Sweep) -> set[str]:
    """Factors whose levels may repeat, because another factor that goes together with them has no level twice."""
    labels = {name: [space.label(level) for level in space.levels(factor)] for name, factor in sweep.factors.items()}
    distinct = {name for name, own in labels.items() if len(set(own)) == len(own)}
    return {name for group in sweep.zip if distinct & set(group) for name in group if name not in distinct}


def _check_levels(
    path: KeyPath, levels: list[Any], document: Document, *, may_repeat: bool = False
) -> Iterator[Message]:
    seen: set[str] = set()
    for i, level in enumerate(levels):
        label = space.label(level)
        if isinstance(level, Mapping) and not isinstance(level.get("label", ""), str | int | float):
            yield message(document.value_at((*path, i, "label")), "wrong type", shown(level["label"]), "text as label")
        if label in seen and not may_repeat:
            yield message(document.value_at((*path, i)), "two levels with the same label", shown(label))
        seen.add(label)


def _check_zip(sweep: Sweep, document: Document) -> Iterator[Message]:
    used: set[str] = set()
    for i, group in enumerate(sweep.zip):
        for k, name in enumerate(group):
            mark = document.value_at(("zip", i, k))
            if name not in sweep.factors:
                yield unknown(mark, "unknown factor", name, sweep.factors)
            elif name in used:
                yield message(mark, "a factor that is zipped twice", shown(name))
            used.add(name)
        counts = {name: len(space.levels(sweep.factors[name])) for name in group if name in sweep.factors}
        if len(set(counts.values())) > 1:
            got = ", ".join(f"{name} has {count}" for name, count in counts.items())
            yield message(document.value_at(("zip", i)), "factors of different lengths", got, "equally many levels")


def check_size(sweep: Sweep, document: Document) -> Iterator[Message]:
    """A product that is too large to write out."""
    grouped = {name: tuple(group) for group in sweep.zip for name in group}
    axes = {grouped.get(name, (name,)): len(space.levels(factor)) for name, factor in sweep.factors.items()}
    if (count := math.prod(axes.values())) > MAX_CELLS:
        yield message(document.key_at(("factors",)), "too many cells", f"{count:,}", f"at most {MAX_CELLS:,}")


def all_cells(sweep: Sweep) -> list[Cell]:
    """The cells before any are excluded."""
    return space.cells(sweep.model_copy(update={"exclude": []}))


# --- names that pick cells -------------------------------------------------------------------------------------------


def check_exclude(sweep: Sweep, document: Document) -> Iterator[Message]:
    everything = all_cells(sweep)
    for i, combination in enumerate(sweep.exclude):
        yield from check_pick(("exclude", i), combination, sweep, everything, document)
    if sweep.exclude and not space.cells(sweep):
        yield message(document.key_at(("exclude",)), "every cell is excluded")


def check_pick(
    path: KeyPath, condition: When | Mapping[str, Any], sweep: Sweep, cells: list[Cell], document: Document
) -> Iterator[Message]:
    """Names and values that pick cells: each has to be a factor, and a level that occurs."""
    for name, wanted in condition.items():
        below = (*path, name)
        if not _is_factor(name, sweep, cells):
            yield unknown(document.key_at(below), "unknown factor", name, sweep.factors)
            continue
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if not any(space.matches(cell, {name: value}) for cell in cells):
                labels = dict.fromkeys(cell.levels[name] for cell in cells if name in cell.levels)
                yield unknown(document.value_at(below), "unknown level", value, labels)


def _is_factor(name: str, sweep: Sweep, cells: list[Cell]) -> bool:
    """A factor, or something inside the mappings that are its levels."""
    return name in sweep.factors or any(
        name.startswith(f"{factor}.") and isinstance(value, Mapping)
        for cell in cells
        for factor, value in cell.values.items()
    )


# --- nuisance --------------------------------------------------------------------------------------------------------


def check_when(sweep: Sweep, document: Document) -> Iterator[Message]:
    cells = space.cells(sweep)
    for name, parameter in sweep.nuisance.items():
        path = ("nuisance", name, "when")
        on_factors = {key: value for key, value in parameter.when.items() if key not in sweep.nuisance}
        yield from _known_names(path, on_factors, sweep, cells, document)
        for other, wanted in parameter.when.items():
            if other in sweep.nuisance:
                yield from _check_reachable((*path, other), sweep.nuisance[other], wanted, document)
    yield from _check_circle(sweep, document)


def _known_names(
    path: KeyPath, condition: When, sweep: Sweep, cells: list[Cell], document: Document
) -> Iterator[Message]:
    known = {key: value for key, value in condition.items() if _is_factor(key, sweep, cells)}
    for key in condition.keys() - known.keys():
        yield unknown(
            document.key_at((*path, key)), "unknown factor or parameter", key, [*sweep.factors, *sweep.nuisance]
        )
    values = list(check_pick(path, known, sweep, cells, document))
    yield from values
    if known and not values and not any(space.matches(cell, known) for cell in cells):
        yield message(document.value_at(path), "no cell is like that", shown(dict(known)), "a combination that occurs")


def _check_reachable(path: KeyPath, parameter: Range | Choice, wanted: Any, document: Document) -> Iterator[Message]:
    for value in wanted if isinstance(wanted, list) else [wanted]:
        if isinstance(parameter, Choice):
            if value not in parameter.choices:
                yield unknown(document.value_at(path), "a value that never occurs", value, map(str, parameter.choices))
        elif not _in_range(value, parameter):
            expected = f"a number from {parameter.low} to {parameter.high}"
            yield message(document.value_at(path), "a value that never occurs", shown(value), expected)


def _in_range(value: Any, parameter: Range) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and parameter.low <= value <= parameter.high and (isinstance(value, int) or not parameter.is_int)


def _check_circle(sweep: Sweep, document: Document) -> Iterator[Message]:
    """Each circle once, at the parameter of it that comes first."""
    done: set[str] = set()
    for name in sweep.nuisance:
        way = _way_back(sweep, name)
        if way and not done & set(way):
            done |= set(way)
            circle = " -> ".join([*way, name])
            yield message(document.value_at(("nuisance", name, "when")), "`when` goes round in a circle", circle)


def _way_back(sweep: Sweep, start: str) -> list[str]:
    """The parameters on a way from ``start`` back to itself; empty if there is none."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for other in sweep.nuisance[way[-1]].when:
            if other == start:
                return way
            if other in sweep.nuisance and other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


# --- constraints between parameters ----------------------------------------------------------------------------------


def check_constraints(sweep: Sweep, document: Document) -> Iterator[Message]:
    for name, bound in sweep.constraints.items():
        limits = {side: limit for side in ("at_most", "at_least") if (limit := getattr(bound, side)) is not None}
        for side, limit in limits.items():
            yield from _check_limit(name, side, limit, sweep, document)
        if len(limits) == 2 and not any(isinstance(v, str) for v in limits.values()) and _empty(bound):
            yield message(document.value_at(("constraints", name)), "nothing is at most and at least that")


def _empty(bound: Bound) -> bool:
    return bound.at_most < bound.at_least  # type: ignore[operator] - the caller has looked: both are numbers


def _check_limit(name: str, side: str, limit: int | float | str, sweep: Sweep, document: Document) -> Iterator[Message]:
    mark = document.value_at(("constraints", name, side))
    numeric = [key for key, parameter in sweep.nuisance.items() if numbers(parameter)]
    if isinstance(limit, str) and name not in sweep.nuisance:
        yield message(mark, "a metric is bounded by numbers only", shown(limit), "a number")
        return
    if isinstance(limit, str) and (limit not in numeric or limit == name):
        yield unknown(mark, "not another nuisance parameter with numbers", limit, [k for k in numeric if k != name])
        return
    if name in sweep.nuisance and name not in numeric:
        key = document.key_at(("constraints", name))
        yield message(key, "a constraint on a parameter without order", shown(name), "one with numbers")
    elif name in sweep.nuisance and _impossible(side, sweep.nuisance[name], _limit_ends(limit, sweep)):
        yield message(mark, "no point keeps this constraint", shown(limit))


def numbers(parameter: Range | Choice) -> list[int | float]:
    """The lowest and highest value of a parameter; empty if its values are no numbers."""
    if isinstance(parameter, Range):
        return [parameter.low, parameter.high]
    choices = [c for c in parameter.choices if isinstance(c, int | float) and not isinstance(c, bool)]
    return [min(choices), max(choices)] if len(choices) == len(parameter.choices) else []


def _limit_ends(limit: int | float | str, sweep: Sweep) -> list[int | float]:
    return numbers(sweep.nuisance[limit]) if isinstance(limit, str) else [limit, limit]


def _impossible(side: str, parameter: Range | Choice, ends: list[int | float]) -> bool:
    low, high = numbers(parameter)
    return low > ends[1] if side == "at_most" else high < ends[0]


# --- what is set twice -----------------------------------------------------------------------------------------------


def check_twice(sweep: Sweep, document: Document) -> Iterator[Message]:
    """One place of the config that two parts of the sweep set."""
    fixed = {".".join(path): ("fixed", *path) for path in _leaves(sweep.fixed, ())}
    factors = {name: ("factors", name) for name in sweep.factors}
    nuisance = {name: ("nuisance", name) for name in sweep.nuisance}
    inside = _inside_levels(sweep)
    for (one, first), (other, second) in itertools.chain(
        itertools.product(fixed.items(), [*factors.items(), *nuisance.items()]),
        itertools.combinations(factors.items(), 2),
        itertools.combinations(nuisance.items(), 2),
        itertools.product([*factors.items(), *inside.items()], nuisance.items()),
    ):
        tuned_inside = first[0] == "factors" and second[0] == "nuisance" and other.startswith(f"{one}.")
        if _overlap(one, other) and not (tuned_inside and one in factors):
            where = ".".join(map(str, first[:1])) if one == other else f"{first[0]}, as {one}"
            yield message(document.key_at(second), f"set twice (also in {where})", shown(other))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _inside_levels(sweep: Sweep) -> dict[str, KeyPath]:
    """What the mappings set that are levels of a factor."""
    return {
        ".".join((name, *path)): ("factors", name)
        for name, factor in sweep.factors.items()
        for level in space.levels(factor)
        if isinstance(level, Mapping)
        for path in _leaves({key: value for key, value in level.items() if key != "label"}, ())
    }

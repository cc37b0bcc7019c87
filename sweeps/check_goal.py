"""Checks of what is wanted and how it is searched: metrics, claims, sampler, scheduler, budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from analysis.claims import Claim, number, selected
from analysis.splits import quantity
from sweeps import space
from sweeps.document import Document, KeyPath
from sweeps.errors import Message, message, shown, unknown
from sweeps.space import Cell
from sweeps.spec import Choice, Parameter, Range, Sweep

MAX_GRID = 100_000


# --- metrics ---------------------------------------------------------------------------------------------------------


def check_metrics(sweep: Sweep, metrics: Iterable[str] | None, document: Document) -> Iterator[Message]:
    """``metrics`` are those that the trainable reports, None if it does not say."""
    seen: set[str] = set()
    for path, name in _objectives(sweep):
        if name in seen:
            yield message(document.value_at(path), "two objectives with the same metric", shown(name))
        seen.add(name)
    if metrics is None:
        return
    known = list(metrics)
    for path, name in [*_objectives(sweep), *_claimed(sweep)]:
        if name not in known:
            yield unknown(document.value_at(path), "unknown metric", name, known)
    for name in sweep.constraints.keys() - {*known, *sweep.nuisance}:
        mark = document.key_at(("constraints", name))
        yield unknown(mark, "unknown metric or nuisance parameter", name, [*sweep.nuisance, *known])


def _objectives(sweep: Sweep) -> list[tuple[KeyPath, str]]:
    if isinstance(sweep.objective, list):
        return [(("objective", i, o.goal), o.metric) for i, o in enumerate(sweep.objective)]
    return [(("objective", sweep.objective.goal), sweep.objective.metric)]


def _claimed(sweep: Sweep) -> Iterator[tuple[KeyPath, str]]:
    for i, claim in enumerate(sweep.claims):
        if claim.metrics:
            yield from ((("claims", i, "metrics", n), name) for n, name in enumerate(claim.metrics))
        else:
            yield ("claims", i, "metric"), claim.metric


# --- claims ----------------------------------------------------------------------------------------------------------


def check_claims(sweep: Sweep, cells: list[Cell], document: Document) -> Iterator[Message]:
    if sweep.claims and sweep.seeds.confirm < 2:
        mark = document.value_at(("seeds", "confirm"))
        yield message(mark, "claims are tested on confirm seeds", shown(sweep.seeds.confirm), "at least 2")
    labels = [cell.levels for cell in cells]
    for i, claim in enumerate(sweep.claims):
        yield from _check_claim(claim, ("claims", i), sweep, labels, document)


def _check_claim(
    claim: Claim, path: KeyPath, sweep: Sweep, labels: list[Mapping[str, str]], document: Document
) -> Iterator[Message]:
    problems = [
        *_check_side(claim.where, (*path, "where"), sweep, labels, document),
        *_check_side(claim.against or {}, (*path, "against"), sweep, labels, document),
    ]
    yield from problems
    if problems:
        return
    chosen = selected(labels, claim.where)
    if claim.against is not None and chosen == selected(labels, claim.against):
        yield message(document.value_at((*path, "against")), "where and against are the same cells")
    if claim.along is not None:
        yield from _check_along(claim, path, sweep, chosen, document)
    if claim.expect == "front_dominates":
        yield from _check_front(claim, path, sweep, document)
    if claim.expect == "correlation_at_least" and len(sweep.objectives) == 1 and len(chosen) < 3:
        mark = document.value_at((*path, "expect"))
        yield message(mark, "a correlation over too few cells", f"{len(chosen)}", "3 or more")


def _check_front(claim: Claim, path: KeyPath, sweep: Sweep, document: Document) -> Iterator[Message]:
    """Which end of a metric is better is known of the objectives alone, on any split."""
    known = {quantity(objective.metric) for objective in sweep.objectives}
    for n, name in enumerate(claim.metrics):
        if quantity(name) not in known:
            mark = document.value_at((*path, "metrics", n))
            names = ", ".join(objective.metric for objective in sweep.objectives)
            yield message(mark, "a metric that is no objective", shown(name), f"one of {names}, or another split of it")


def _check_side(
    where: Mapping[str, object], path: KeyPath, sweep: Sweep, labels: list[Mapping[str, str]], document: Document
) -> Iterator[Message]:
    found = False
    for factor, wanted in where.items():
        below = (*path, factor)
        if factor not in sweep.factors:
            found = True
            yield unknown(document.key_at(below), "unknown factor", factor, sweep.factors)
            continue
        for level in wanted if isinstance(wanted, list) else [wanted]:
            if not selected(labels, {factor: level}):
                found = True
                known = dict.fromkeys(cell[factor] for cell in labels)
                yield unknown(document.value_at(below), "no cell has this level", level, known)
    if not found and not selected(labels, where):
        yield message(document.value_at(path), "no cell is like that", shown(where), "a combination that occurs")


def _check_along(
    claim: Claim, path: KeyPath, sweep: Sweep, chosen: list[Mapping[str, str]], document: Document
) -> Iterator[Message]:
    factor, mark = claim.along or "", document.value_at((*path, "along"))
    if factor not in sweep.factors:
        yield unknown(mark, "unknown factor", factor, sweep.factors)
        return
    levels = dict.fromkeys(cell[factor] for cell in chosen)
    if words := [level for level in levels if number(level) is None]:
        yield message(mark, f"a factor whose levels are no numbers: {factor}", shown(words[0]), "numbers")
    elif len(levels) < 2:
        yield message(mark, f"only one level of {factor} is selected", ", ".join(levels), "two or more")
    elif claim.expect == "peaks_at":
        yield from _check_peak(claim, path, list(levels), document)


def _check_peak(claim: Claim, path: KeyPath, levels: list[str], document: Document) -> Iterator[Message]:
    inside = [claim.includes(number(level) or 0.0) for level in levels]
    if all(inside) or not any(inside):
        mark = document.value_at((*path, "low" if claim.low is not None else "high"))
        where = "inside" if all(inside) else "outside"
        got = ", ".join(levels)
        yield message(mark, f"all levels of {claim.along} are {where} the range", got, "levels inside and outside")


# --- search ----------------------------------------------------------------------------------------------------------


def check_search(sweep: Sweep, cells: list[Cell], document: Document) -> Iterator[Message]:
    search, several = sweep.search, len(sweep.objectives) > 1
    sampler = document.value_at(("search", "sampler"))
    if search.sampler == "cmaes" and several:
        yield message(sampler, "cmaes has one objective", f"{len(sweep.objectives)}", "tpe, gp, nsga2, qmc or random")
    if search.sampler == "cmaes" and sweep.constraints.keys() - sweep.nuisance.keys():
        yield message(sampler, "cmaes does not heed constraints on metrics", expected="tpe, gp or nsga2")
    if search.trials is not None and search.trials < len(cells) * sweep.seeds.tune:
        mark, need = document.value_at(("search", "trials")), len(cells) * sweep.seeds.tune
        yield message(mark, "less than one point per cell", f"{search.trials}", f"at least {need}")
    if not sweep.nuisance:
        yield from _check_nothing_to_tune(sweep, document)
    else:
        yield from _check_spaces(sweep, cells, document)


def _check_nothing_to_tune(sweep: Sweep, document: Document) -> Iterator[Message]:
    if (points := sweep.search.points or 1) > 1:
        mark = document.value_at(("search", "points"))
        yield message(mark, "there is nothing to tune without nuisance parameters", f"{points}", "1, or no points")


def _check_spaces(sweep: Sweep, cells: list[Cell], document: Document) -> Iterator[Message]:
    spaces = [there for cell in cells if (there := space.parameters(sweep, cell))]
    if sweep.search.sampler == "grid":
        yield from _check_grid(sweep, spaces, document)
    if sweep.search.sampler == "cmaes" and not all(map(_has_range, spaces)):
        mark = document.value_at(("search", "sampler"))
        yield message(mark, "cmaes needs a parameter with a range in every cell", expected="another sampler")


def _has_range(there: Mapping[str, Parameter]) -> bool:
    return any(isinstance(parameter, Range) for parameter in there.values())


def _check_grid(sweep: Sweep, spaces: list[dict[str, Parameter]], document: Document) -> Iterator[Message]:
    endless = [name for name, parameter in sweep.nuisance.items() if _count(parameter) is None]
    for name in endless:
        mark = document.key_at(("nuisance", name))
        yield message(mark, "a range without end for the grid sampler", shown(name), "levels, step or choices")
    if endless or not spaces:
        return
    largest = max(spaces, key=_upper_size)
    if _upper_size(largest) > MAX_GRID:
        mark = document.value_at(("search", "sampler"))
        yield message(mark, "the grid is too large", f"{_upper_size(largest):,} points", f"at most {MAX_GRID:,}")
    elif sweep.search.points is not None and sweep.search.points < (whole := len(space.grid(largest))):
        mark = document.value_at(("search", "points"))
        yield message(mark, "fewer points than the grid has", f"{sweep.search.points}", f"{whole}, or no points")


def _upper_size(there: Mapping[str, Parameter]) -> int:
    """The points of the grid, if all parameters exist at all of them."""
    return math.prod(_count(parameter) or 1 for parameter in there.values())


def _count(parameter: Parameter) -> int | None:
    """How many values the grid has along a parameter; None if they have no end."""
    if isinstance(parameter, Choice):
        return len(parameter.choices)
    if parameter.levels:
        return parameter.levels
    step = parameter.step or (1 if parameter.is_int else None)
    return None if step is None else round((parameter.high - parameter.low) / step) + 1


# --- scheduler -------------------------------------------------------------------------------------------------------


def check_scheduler(sweep: Sweep, knows_steps: bool, document: Document) -> Iterator[Message]:
    """``knows_steps``: the trainable says how many steps a trial has."""
    scheduler, mark = sweep.scheduler, document.value_at(("scheduler", "name"))
    if scheduler.name == "none":
        return
    if len(sweep.objectives) > 1:
        yield message(mark, "a scheduler judges one objective", f"{len(sweep.objectives)}", "name: none")
    if scheduler.name == "hyperband" and scheduler.max_steps is None and not knows_steps:
        yield message(mark, "hyperband has to know the last step", expected="max_steps")
    if scheduler.max_steps is not None and scheduler.max_steps < scheduler.grace_steps:
        high = document.value_at(("scheduler", "max_steps"))
        yield message(
            high, "max_steps is below grace_steps", f"{scheduler.max_steps}", f"{scheduler.grace_steps} or more"
        )

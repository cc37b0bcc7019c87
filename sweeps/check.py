"""Holds a sweep against itself and against its trainable, before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sweeps import space
from sweeps.check_config import check_config
from sweeps.check_goal import check_claims, check_metrics, check_scheduler, check_search
from sweeps.check_space import (
    check_constraints,
    check_exclude,
    check_factors,
    check_size,
    check_twice,
    check_when,
)
from sweeps.errors import Message, SpecError, message, refuse
from sweeps.resolve import Resolved, load
from trainables.registry import Trainable, TrainableError, find


def check(resolved: Resolved, search_path: str | Path | None = None) -> None:
    """Find everything that is wrong with a sweep.

    Args:
        resolved: what ``load`` returned.
        search_path: folder that ``my_file.py`` is relative to; by default that of the sweep, or the current one.

    Raises:
        SpecError: with one line per problem.
    """
    refuse(_all(resolved, search_path or resolved.search_path))


def check_all_scales(resolved: Resolved) -> None:
    """Check a sweep as it stands and at each scale that its file offers. Raises SpecError."""
    lines = _lines(lambda: resolved)
    for scale in resolved.scales:
        new = [line for line in _lines(partial(load, resolved.path, scale)) if line not in lines]
        lines += [f"{line} (with --scale {scale})" for line in new]
    if lines:
        raise SpecError("\n".join(lines))


def _lines(make: Callable[[], Resolved]) -> list[str]:
    try:
        check(make())
    except SpecError as error:
        return error.messages
    return []


def _all(resolved: Resolved, search_path: str | Path) -> list[Message]:
    sweep, document, trainable = resolved.sweep, resolved.document, None
    twice = list(check_twice(sweep, document))
    found = [*twice, *check_constraints(sweep, document)]
    try:
        trainable = find(sweep.trainable, search_path)
    except TrainableError as error:
        found.append(message(document.value_at(("trainable",)), str(error)))
    found += check_metrics(sweep, trainable.metrics if trainable else None, document)
    found += check_scheduler(sweep, trainable is None or trainable.steps is not None, document)
    factors = list(check_factors(sweep, document)) or list(check_size(sweep, document))
    return [*found, *(factors or _with_cells(resolved, None if twice else trainable))]


def _with_cells(resolved: Resolved, trainable: Trainable | None) -> Iterator[Message]:
    """What can only be seen once the cells are known; the config only if there is a trainable."""
    sweep, document = resolved.sweep, resolved.document
    yield from check_exclude(sweep, document)
    if not (cells := space.cells(sweep)):
        return
    yield from check_claims(sweep, cells, document)
    conditions = list(check_when(sweep, document))
    yield from conditions
    if conditions:
        return
    yield from check_search(sweep, cells, document)
    if trainable:
        yield from check_config(sweep, trainable, cells, document)

"""What a reader should know before believing the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.answers import Row
from analysis.claims import claims_of
from analysis.frames import Run
from analysis.replicates import answer_metric, objectives, split
from analysis.wording import count, param, plain

FEW_SEEDS = 5
_EDGE = 0.03  # of the width of a space: a winner this near to its end asks for a wider space


def cautions(run: Run, rows: list[Row]) -> list[str]:
    return [*_progress(run, rows), *_seeds(rows), *_splits(run), *_edges(run, rows), *_damage(run)]


def _progress(run: Run, rows: list[Row]) -> Iterator[str]:
    counts = run.trials["outcome"].value_counts().to_dict()
    last = run.events["event"].iloc[-1] if len(run.events) else "not started"
    open_ = [f"{counts[o]:,} {o}" for o in ("running", "planned", "cancelled", "lost") if counts.get(o)]
    if last != "finished":
        yield "The run is not finished" + (f" ({last}): {', '.join(open_)}" if open_ else f" ({last})") + "."
    elif open_:
        yield f"Some trials did not come to an end: {', '.join(open_)}."
    if without := [row.name for row in rows if not row.point]:
        names = ", ".join(plain(name, 60) for name in without[:5]) + (" ..." if len(without) > 5 else "")
        yield f"{count(len(without), 'cell')} without a winner: {names}."


def _seeds(rows: list[Row]) -> Iterator[str]:
    counts = [row.replicates for row in rows if row.point]
    if counts and min(counts) < FEW_SEEDS:
        yield f"As few as {count(min(counts), 'confirm seed')} in a cell: intervals are wide and their level is rough."
    for row in rows:
        if row.replicates < row.planned:
            missing = row.planned - row.replicates
            yield f"{plain(row.name, 60)}: {missing} of {row.planned} confirm replicates are missing from its mean."


def _splits(run: Run) -> Iterator[str]:
    answer = answer_metric(run)
    claimed = {claim.metric for claim in claims_of(run.lock)}
    used = {"the answer": {answer.metric} if answer else set(), "the claims": claimed}
    for objective in objectives(run.lock):
        same = [user for user, metrics in used.items() if any(_same_split(objective.metric, m) for m in metrics)]
        if same:
            rest = "rests" if same == ["the answer"] else "rest"
            yield (
                f"{' and '.join(same).capitalize()} {rest} on the split that {plain(objective.metric)} was tuned on; "
                "the seeds are fresh, the data are not."
            )


def _same_split(tuned: str, tested: str) -> bool:
    return tuned == tested or (split(tuned) != "" and split(tuned) == split(tested))


def _edges(run: Run, rows: list[Row]) -> Iterator[str]:
    for row in rows:
        for name, value in row.params.items():
            space = (run.lock.get("nuisance") or {}).get(name)
            if isinstance(space, Mapping) and (edge := _edge(space, value)):
                yield (
                    f"{plain(row.name, 60)}: {plain(name)} = {param(value)} is at the {edge} of its space "
                    f"({param(space['low'])} to {param(space['high'])}), so a better one may lie outside."
                )


def _edge(space: Mapping[str, Any], value: Any) -> str:
    """Which end of its space a value touches, if any."""
    numbers = [v for v in (space.get("low"), space.get("high"), value) if isinstance(v, int | float)]
    if len(numbers) < 3 or numbers[0] == numbers[1] or isinstance(value, bool):
        return ""
    if space.get("log"):
        if min(numbers) <= 0:
            return ""
        numbers = [math.log(v) for v in numbers]
    low, high, value = numbers
    place = (value - low) / (high - low)
    if space["low"] == 0 and place <= _EDGE:
        return ""  # zero is where such a space ends by nature: no dropout, no smoothing
    return "lower end" if place <= _EDGE else "upper end" if place >= 1 - _EDGE else ""


def _damage(run: Run) -> Iterator[str]:
    if run.torn:
        yield f"{count(run.torn, 'torn line')} in the ledger, left by a kill, not counted."

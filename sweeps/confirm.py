"""``assay confirm``: more confirm seeds, round by round, where undecided claims need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis import rounds
from analysis.claims import claims_of
from analysis.frames import Run, load
from analysis.records import LOCK_FILE
from sweeps import resolve
from sweeps.ledger import RunError
from sweeps.run import Options, drive
from sweeps.search import Search
from sweeps.spec import Seeds


def confirm(
    run: Path, asked: int | None, options: Options, say: Callable[[str], None], *, until_decided: bool = True
) -> str:
    """Run more seeds, for one round or until every claim is decided, given up, or at its limit of seeds.

    The first call writes the design to the ledger, and all claims are judged by it from then on. Later calls go on
    with it. Returns the last state of ``drive``.

    Args:
        asked: the limit; None means the one that the sweep or an earlier call has declared.
    """
    found, seeds = load(run), resolve.load(run / LOCK_FILE).sweep.seeds
    if found.simulated:
        raise RunError(f"{run}: simulated, so its claims are not judged, and more seeds would decide nothing")
    first, most = seeds.confirm, _limit(found, seeds, asked)
    if not len(found.events) or found.events["event"].iloc[-1] != "finished":
        if (state := drive(run, options)) != "finished":
            return state
        found = load(run)
    steps = [] if len(found.looks) else [rounds.declared(found, first)]
    wanted = rounds.next_round(rounds.with_looks(found, steps[0], most) if steps else found)
    state = "finished"
    while wanted or steps:
        say(_words(wanted, most))
        state = drive(run, options, extend=_give([*steps, wanted], most))
        if state != "finished" or not until_decided:
            break
        steps, wanted = [], rounds.next_round(load(run))
    return state


def _give(steps: Sequence[Mapping[str, int]], most: int) -> Callable[[Search], None]:
    def extend(search: Search) -> None:
        for cell, seeds in (pair for step in steps for pair in step.items()):
            search.confirm_more(cell, seeds, most)

    return extend


def _limit(run: Run, seeds: Seeds, asked: int | None) -> int:
    if not claims_of(run.lock):
        raise RunError(f"{run.path}: the sweep has no claims, so there is nothing to decide")
    declared = int(run.looks["most"].iloc[-1]) if len(run.looks) else seeds.confirm_at_most
    most = declared if asked is None else asked
    if most is None:
        raise RunError("--max-seeds: got nothing, expected a number, for the sweep has no seeds.confirm_at_most")
    if declared not in (None, most):
        raise RunError(
            f"{run.path}: this run was declared to go up to {declared} seeds, got --max-seeds {most}; the limit cannot "
            "change once results are there"
        )
    if most <= seeds.confirm:
        raise RunError(f"--max-seeds: got {most}, expected more than the {seeds.confirm} confirm seeds of the sweep")
    return most


def _words(wanted: Mapping[str, int], most: int) -> str:
    if not wanted:
        return "no claim needs more seeds"
    seeds = ", ".join(f"{cell}: {count}" for cell, count in list(wanted.items())[:6])
    more = f" and {len(wanted) - 6} more cells" if len(wanted) > 6 else ""
    return f"confirm seeds, of at most {most}: {seeds}{more}"

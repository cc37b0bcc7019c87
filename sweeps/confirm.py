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


def confirm(run: Path, most: int, options: Options, say: Callable[[str], None], *, until_decided: bool = True) -> str:
    """Run more seeds, for one round or until every claim is decided, given up, or at ``most`` seeds.

    The first call declares the design in the ledger, and all claims are judged by it from then on. Later calls go on
    with it. Returns the last state of ``drive``.
    """
    found = load(run)
    first = resolve.load(run / LOCK_FILE).sweep.seeds.confirm
    _check(found, first, most)
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


def _check(run: Run, first: int, most: int) -> None:
    if not claims_of(run.lock):
        raise RunError(f"{run.path}: the sweep has no claims, so there is nothing to decide")
    if len(run.looks) and int(run.looks["most"].iloc[-1]) != most:
        declared = int(run.looks["most"].iloc[-1])
        raise RunError(
            f"{run.path}: this run was declared to go up to {declared} seeds, got --max-seeds {most}; the limit cannot "
            "change once results are there"
        )
    if most <= first:
        raise RunError(f"--max-seeds: got {most}, expected more than the {first} confirm seeds of the sweep")


def _words(wanted: Mapping[str, int], most: int) -> str:
    if not wanted:
        return "no claim needs more seeds"
    seeds = ", ".join(f"{cell}: {count}" for cell, count in list(wanted.items())[:6])
    more = f" and {len(wanted) - 6} more cells" if len(wanted) > 6 else ""
    return f"confirm seeds, of at most {most}: {seeds}{more}"

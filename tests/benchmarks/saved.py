# ruff: noqa: E402 - the paths come first
"""What cohorts save: the confirm trials of some cells of a run once more, one by one and stacked; one thread.

python tests/benchmarks/saved.py RUN... [--cells 3] [--rounds 1]

Cells are spread evenly over the sweep, each cohort is the seeds of one cell. Seconds are CPU time of this process,
after an unmeasured round that imports what they need; the quickest of the rounds counts. A run stacks trials of
several cells, too, where their shapes allow, so that it may save more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

import pandas as pd

from analysis import load
from analysis.frames import Run
from analysis.replicates import replicates
from trainables.api import Nowhere, Order, Outcome
from trainables.cohort import Cohort


def orders(run: Run, cells: int) -> list[list[Order]]:
    """Those of each chosen cell."""
    done = replicates(run)
    known = list(dict.fromkeys(done["cell"]))
    count = min(cells, len(known))
    chosen = {known[round(n * (len(known) - 1) / max(1, count - 1))] for n in range(count)}
    return [[_order(run, row) for _, row in done[done["cell"] == cell].iterrows()] for cell in known if cell in chosen]


def _order(run: Run, row: pd.Series[Any]) -> Order:
    return Order(trial=row["trial"], trainable=run.lock["trainable"], config=row["config"], seed=row["seed"])


def seconds(found: list[Order], *, stacked: bool) -> float:
    with tempfile.TemporaryDirectory() as store:
        began = time.process_time()
        for group in [found] if stacked else [[order] for order in found]:
            cohort = Cohort([_stored(order, store) for order in group], lambda _: Nowhere())
            for new in cohort:
                bad = [e for e in new.endings.values() if e.outcome not in (Outcome.DONE, Outcome.DIVERGED)]
                assert not bad, bad
        return time.process_time() - began


def _stored(order: Order, store: str) -> Order:
    return Order(**{n: getattr(order, n) for n in ("trial", "trainable", "config", "seed")}, store=store)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for path in options.runs:
        run = load(path)
        chosen = orders(run, options.cells)
        seconds(chosen[0][:2], stacked=True)
        one, all_ = (_total(chosen, options.rounds, stacked=stacked) for stacked in (False, True))
        shape = f"{len(chosen)} cells x {len(chosen[0])} seeds"
        line = f"{run.lock['sweep']:26} {shape:20} {one:6.1f} s {all_:6.1f} s {one / all_:5.2f}"
        print(line, flush=True)  # noqa: T201


def _total(cells: list[list[Order]], rounds: int, *, stacked: bool) -> float:
    return sum(min(seconds(cell, stacked=stacked) for _ in range(rounds)) for cell in cells)


if __name__ == "__main__":
    main()

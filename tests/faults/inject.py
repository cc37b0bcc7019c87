"""Injects faults at random moments into many small runs, and checks that nothing is lost, done twice, or different.

    python tests/faults/inject.py [--rounds 15] [--first 0] [--seed 0] [--only WORDS] [--ray]

Every round makes a run of its own, disturbs it once or more, lets it come to its end by `assay resume`, and compares it
with a run that nobody disturbed. Prints a table for docs/faults.md; exits 1 if there is a loss.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent), *(str(ROOT / "tests" / room) for room in ("cluster", "sweeps"))]

_USED = (  # by every driver: imported once, for all the forks
    *("optuna", "pandas", "pyarrow.parquet", "torch", "sweeps.cli", "sweeps.run", "sweeps.show", "sweeps.tensorboard"),
    *("cluster.inline", "analysis.frames", "analysis.segments", "trainables.cohort", "trainables.checkpoint"),
)
Kind = Callable[..., int]


@dataclass
class Row:
    kind: str
    rounds: int = 0
    faults: int = 0
    wrongs: list[str] = field(default_factory=list)


def round_of(kind: Kind, excused: int, folder: Path, rng: random.Random, undisturbed: Any) -> tuple[int, list[str]]:
    """One run, disturbed until a fault has hit it, and what is wrong with it then."""
    from study import Place, wrongs

    for attempt in range(8):
        place = Place(folder / str(attempt))
        if faults := kind(place, rng):
            break
    else:
        return 0, []
    for _ in range(5):
        if (code := place.finish()) == 0:
            break
    if code != 0:
        return faults, [f"does not finish: exit code {code}: {place.said()[-2000:]}"]
    return faults, wrongs(place.run, undisturbed, excused)


def injected(
    name: str,
    kind: tuple[Kind, int],
    rounds: range,
    seed: int,
    folder: Path,
    undisturbed: Any,
) -> Row:
    row = Row(name)
    for number in rounds:
        rng = random.Random(f"{seed} {name} {number}")
        where = folder / name.replace(" ", "-") / str(number)
        try:
            faults, found = round_of(*kind, where, rng, undisturbed)
        except (AssertionError, TimeoutError) as error:
            faults, found = 1, [f"{type(error).__name__}: {error}"]
        row.rounds, row.faults = row.rounds + 1, row.faults + faults
        row.wrongs += [f"{where}: {text}" for text in found]
        if not found:
            shutil.rmtree(where)
    print(f"{name}: {row.faults} faults, {len(row.wrongs)} losses", flush=True)  # noqa: T201 - a command line
    for text in row.wrongs[:5]:
        print(f"    {text}", flush=True)  # noqa: T201
    return row


def table(rows: list[Row]) -> str:
    lines = ["| fault | rounds | faults | losses |", "|---|---:|---:|---:|"]
    lines += [f"| {row.kind} | {row.rounds} | {row.faults} | {len(row.wrongs)} |" for row in rows]
    rounds, faults, losses = (
        sum(column) for column in zip(*((r.rounds, r.faults, len(r.wrongs)) for r in rows), strict=True)
    )
    return "\n".join([*lines, f"| all | {rounds} | {faults} | {losses} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to go on with more of them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--ray", action="store_true", help="the kinds that need Ray, a minute a round, not the others")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    import local
    import onray
    from study import Place, found

    for module in _USED:
        importlib.import_module(module)
    whole = Place(folder / "undisturbed")
    began = time.monotonic()
    assert whole.finish() == 0, whole.said()
    local.LONGEST_S = time.monotonic() - began
    undisturbed, began, rows = found(whole.run), time.monotonic(), []
    rounds = range(options.first, options.first + options.rounds)
    for name, kind in (onray if options.ray else local).KINDS.items():
        if options.only in name:
            rows.append(injected(name, kind, rounds, options.seed, folder, undisturbed))
    print(f"\n{table(rows)}\n\nseed {options.seed}, {time.monotonic() - began:.0f} s")  # noqa: T201
    raise SystemExit(1 if any(row.wrongs for row in rows) else 0)


if __name__ == "__main__":
    main()

"""Time and peak memory of a report over 10,000 trials with 100 reports each.

python tests/benchmarks/report_10k.py [number of trials] [reports of each]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "analysis"))
from synthetic import Folder, lock

from analysis.report import write

CELLS, SEEDS = 20, 20


def make(path: Path, trials: int, steps: int) -> None:
    folder = Folder(path, lock({"model.width": [str(8 * n) for n in range(1, CELLS + 1)]}))
    random = np.random.default_rng(0)
    records = (path / "ledger/decisions.jsonl").open("a", encoding="utf-8", buffering=1 << 20)
    reports = (path / "ledger/reports-0.jsonl").open("a", encoding="utf-8", buffering=1 << 20)
    files = {"decisions.jsonl": records, "reports-0.jsonl": reports}
    from analysis.records import VERSION, encode

    def append(target, kind, fields):
        folder.clock += 1
        files[target.name].write(encode({"v": VERSION, "kind": kind, "time": folder.clock, **fields}))

    folder._append = append  # type: ignore[method-assign]
    folder.decide("run", event="started", seconds=0)
    for c in range(CELLS):
        _cell(folder, c, trials // CELLS - SEEDS, steps, random)
    folder.decide("run", event="finished", seconds=1.0)
    records.close()
    reports.close()


def _cell(folder: Folder, c: int, points: int, steps: int, random: np.random.Generator) -> None:
    cell = f"c{c}"
    folder.decide("cell", cell=cell, levels={"model.width": str(8 * (c + 1))})
    for n in range(points + SEEDS):
        lr = float(10 ** random.uniform(-3, 0))
        tune = n < points
        if tune:
            folder.decide("asked", cell=cell, number=n, point=f"p{n}", params={"optimizer.lr": lr})
        elif n == points:
            folder.decide("winner", cell=cell, points=["p0"])
        point, seed = (f"p{n}", 0) if tune else ("p0", 1000 + n - points)
        folder.plan(f"{cell}-{n}", cell, "tune" if tune else "confirm", point, seed)
        rise = (0.9 - 0.05 * (np.log10(lr) + 1) ** 2) * (1 - np.exp(-np.arange(1, steps + 1) / 20))
        folder.run(f"{cell}-{n}", [{"accuracy/validation": float(v), "accuracy/test": float(v)} for v in rise])
        if tune:
            folder.decide("told", cell=cell, number=n, state="COMPLETE", values=[float(rise[-1])])


if __name__ == "__main__":
    trials, steps = (int(word) for word in (sys.argv[1:] + ["10000", "100"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run"
        make(path, trials, steps)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, busy = time.perf_counter(), time.process_time()
        page = write(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = f"{time.perf_counter() - began:.1f} s, of which {time.process_time() - busy:.1f} s on a core"
        print(f"report of {trials:,} trials with {steps} reports each: {spent}")  # noqa: T201
        memory = f"peak memory {peak / 2**20:.2f} GiB (before: {before / 2**20:.2f})"
        print(f"{memory}, page {page.stat().st_size / 2**10:.0f} KiB")  # noqa: T201

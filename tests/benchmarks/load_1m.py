"""How long `analysis.load` takes over 1,000,000 reports, and how much memory.

    python tests/benchmarks/load_1m.py [number of reports]

Every report holds three metrics, so that its frame has three times as many rows. Each case is measured in a process of
its own: from the JSON lines that trials write, and from the Parquet file that a finished run has.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

from analysis.records import DECISIONS, LOCK_FILE, encode

STEPS, SEGMENTS, CELLS = 100, 8, 20


def make(run: Path, reports: int) -> None:
    """A run folder of trials with 100 reports each, written by eight processes."""
    (run / "ledger").mkdir(parents=True)
    (run / LOCK_FILE).write_text("sweep: large\nobjective: {minimize: loss/validation}\n")
    trials = [f"{n:012x}" for n in range(reports // STEPS)]
    with (run / DECISIONS).open("w") as file:
        for c in range(CELLS):
            file.write(encode({"v": 1, "kind": "cell", "time": 0.0, "cell": f"c{c}", "levels": {"a": str(c)}}))
        for n, trial in enumerate(trials):
            for record in _decisions(trial, n):
                file.write(encode({"v": 1, "time": float(n), **record}))
    for segment in range(SEGMENTS):
        with (run / f"ledger/reports-host-{segment}.jsonl").open("w") as file:
            for trial in trials[segment::SEGMENTS]:
                file.writelines(_report(trial, step) for step in range(1, STEPS + 1))


def _decisions(trial: str, n: int) -> list[dict[str, object]]:
    cell, point = f"c{n % CELLS}", f"p{n}"
    return [
        {"kind": "asked", "cell": cell, "number": n, "point": point, "params": {"lr": 0.1 + n}},
        {"kind": "planned", "trial": trial, "cell": cell, "phase": "tune", "point": point, "seed": 0, "config": {}},
        {"kind": "started", "trial": trial, "attempt": 1},
        {"kind": "done", "trial": trial, "attempt": 1, "seconds": 1.0, "error": ""},
    ]


def _report(trial: str, step: int) -> str:
    noise = hash((trial, step)) % 10**16 / 1e16  # digits enough to be like those of a real metric
    metrics = {"loss/train": 1 / step + noise, "loss/validation": 1 / step - noise, "accuracy/test": noise}
    head = {"v": 1, "kind": "report", "time": 1_780_000_000.123 + step, "trial": trial, "attempt": 1, "step": step}
    return json.dumps({**head, "metrics": metrics}, separators=(",", ":")) + "\n"


def measure(run: Path) -> tuple[int, float, float, float]:
    """Rows, seconds, seconds of all cores together, and peak memory in GB of loading, without the imports."""
    import analysis.frames
    from analysis import load

    assert analysis.frames
    began, worked = time.perf_counter(), time.process_time()
    rows = len(load(run).reports)
    spent = time.perf_counter() - began, time.process_time() - worked
    return rows, *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(reports: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        make(run, reports)
        print(f"{reports:,} reports, {sum(p.stat().st_size for p in run.glob('ledger/*')) / 1e6:.0f} MB of JSON lines")  # noqa: T201
        _case("JSON lines", run)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(_compact, (run,))
        _case("Parquet", run)


def _case(name: str, run: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows, time_s, cpu_s, peak = pool.apply(measure, (run,))
    print(f"{name:10}  {rows:,} rows  {time_s:5.1f} s ({cpu_s:.1f} s of CPU)  {peak:4.2f} GB")  # noqa: T201


def _compact(run: Path) -> None:
    from analysis.frames import compact

    compact(run)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

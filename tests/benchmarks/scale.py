"""How the driver grows with a run: trials that nothing computes, on a thousand simulated nodes of 8 CPUs.

    python tests/benchmarks/scale.py [--trials 100 1000 10000 100000] [--cells 1] [--sampler random]
                                     [--scheduler none] [--cohort auto]

Spec, plan, search, schedulers, driver and ledger are those of any run (see cluster/simulated.py). Each row is measured
in a process of its own, and its CPU time is that from an empty run folder to the last record; the time that the
simulator needs for its own work is left out where it says "driver". Then how long a status, a report and a resume take.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

TRAINABLE = """
from dataclasses import dataclass
from trainables.api import PerMember

@dataclass(frozen=True)
class Config:
    a: PerMember[int] = 1
    lr: PerMember[float] = 0.1
    momentum: PerMember[float] = 0.9

def steps(config):
    return 100

def run(configs, trials):
    raise AssertionError("nothing is trained in a simulation")
"""

SWEEP = """
sweep: scale
question: What does a trial cost that nobody runs?
trainable: scale.py
factors: {{a: {factor}}}
nuisance: {{lr: {{low: 1e-4, high: 1.0, log: true}}, momentum: {{low: 0.0, high: 1.0}}}}
objective: {{minimize: loss}}
search: {{sampler: {sampler}, points: {points}}}
scheduler: {{name: {scheduler}, grace_steps: 10}}
seeds: {{tune: 1, confirm: 0}}
resources: {{cohort: {cohort}}}
"""
WORLD = {"nodes": 1000, "cpus": 8, "node_hours": 50, "process_hours": 100}
COLUMNS = (
    "trials",
    "CPU s",
    "driver, ms per trial",
    "slowest answer, ms",
    "answered after s: half / 99 % / all",
    "MiB",
    "ledger, KiB per trial",
    "files",
    "open",
)


class Timed:
    """A source whose answers are timed.

    ``delays``: of each answer, in seconds, if what comes in has to wait until the driver has dealt with what came
    before. It comes in by the virtual clock, and is dealt with in the CPU time that this takes here.
    """

    def __init__(self, source: Any, clock: Callable[[], float]) -> None:
        self._source, self._clock, self._free = source, clock, 0.0
        self.seconds, self.slowest, self.files, self.delays = 0.0, 0.0, 0, array("d")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        return self._timed(found) if name in ("next", "alike", "started", "reported", "ended") else found

    def _timed(self, call: Any) -> Any:
        def timed(*given: Any) -> Any:
            began = time.thread_time()
            answer = call(*given)
            self._count(time.thread_time() - began)
            return answer

        return timed

    def _count(self, took: float) -> None:
        now = self._clock()
        self._free = max(self._free, now) + took
        self.delays.append(self._free - now)
        self.seconds += took
        self.slowest = max(self.slowest, took)
        if len(self.delays) % 1000 == 1:
            self.files = max(self.files, len(os.listdir("/proc/self/fd")))  # noqa: PTH208

    def within(self) -> str:
        """By when half of the answers, 99 % of them and all are given, in seconds."""
        ordered = sorted(self.delays)
        return " / ".join(f"{ordered[min(len(ordered) - 1, int(part * len(ordered)))]:.3g}" for part in (0.5, 0.99, 1))


def drive(folder: Path, trials: int, options: argparse.Namespace) -> tuple[Path, Timed, float]:
    """Run it; the run folder, the times of the driver, and the CPU time of everything."""
    from sweeps import resolve, run, simulation

    cells = options.cells
    text = {"factor": f"{{linear: [1, {cells}], levels: {cells}}}" if cells > 1 else "[1]", "points": trials // cells}
    chosen = {name: getattr(options, name) for name in ("sampler", "scheduler", "cohort")}
    (folder / "scale.yaml").write_text(SWEEP.format(**text, **chosen))
    (folder / "scale.py").write_text(TRAINABLE)
    world = simulation.world([f"{name}={value}" for name, value in WORLD.items()])
    made = run.create(resolve.load(folder / "scale.yaml"), folder / "runs", world)
    simulate, seen = simulation.run_simulated, []

    def timed(source: Any, *given: Any, **more: Any) -> Any:
        seen.append(Timed(source, more["clock"]))
        return simulate(seen[0], *given, **more)

    simulation.run_simulated = timed
    began = time.process_time()
    assert (state := run.drive(made, run.Options())) == "finished", state
    return made, seen[0], time.process_time() - began


def row(folder: Path, trials: int, options: argparse.Namespace) -> tuple[Path, list[str]]:
    made, seen, cpu_s = drive(folder, trials, options)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(path.stat().st_size for path in (made / "ledger").glob("*"))
    files = sum(1 for path in made.rglob("*") if path.is_file())
    return made, [
        f"{trials:,}",
        f"{cpu_s:.1f}",
        f"{1000 * seen.seconds / trials:.2f}",
        f"{1000 * seen.slowest:.0f}",
        seen.within(),
        f"{memory:.0f}",
        f"{size / trials / 1024:.2f}",
        f"{files}",
        f"{seen.files}",
    ]


def looks(folder: Path, made: Path) -> list[str]:
    """CPU seconds of commands that read the run, and the largest memory of the last one in MiB."""
    found = []
    for words in (["status", str(made)], ["resume", str(made)]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "sweeps.cli", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f}")
    return [*found, f"{after.ru_maxrss / 1024:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--scheduler", default="none")
    parser.add_argument("--cohort", default="auto")
    parser.add_argument("--looks", action="store_true", help="also time status, and resume with its report")
    options = parser.parse_args()
    if len(options.trials) > 1:  # each in a process of its own
        columns = [*COLUMNS, *(["status, s", "resume and report, s", "its MiB"] if options.looks else [])]
        print(f"| {' | '.join(columns)} |\n|{'---:|' * len(columns)}", flush=True)  # noqa: T201
        for count in options.trials:
            flags = [f"--{k}={getattr(options, k)}" for k in ("cells", "sampler", "scheduler", "cohort")]
            command = [sys.executable, __file__, "--trials", str(count), *flags, *["--looks"] * options.looks]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr, flush=True)  # noqa: T201
        return
    with tempfile.TemporaryDirectory(prefix="assay-scale-") as folder:
        os.chdir(folder)
        made, cells = row(Path(folder), options.trials[0], options)
        cells += looks(Path(folder), made) if options.looks else []
    print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

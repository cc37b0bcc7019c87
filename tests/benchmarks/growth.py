"""How a run grows: seconds, milliseconds per trial and memory of the driver for trials that do next to nothing.

python tests/benchmarks/growth.py [--trials 100 1000 10000] [--ray]

Each trial reports three times; ledger, TensorBoard files and the search are those of any run. Without --ray all happens
in one process, so that its memory is that of a driver and a worker together.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from trainables.api import PerMember, Trial

SWEEP = """
sweep: growth
question: What does a trial cost that does nothing?
trainable: growth.py
nuisance: {{x: {{low: 0.0, high: 1.0}}}}
objective: {{minimize: loss}}
search: {{sampler: random, points: {trials}}}
seeds: {{tune: 1, confirm: 0}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    x: PerMember[float] = 0.0


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Mapping[int, Mapping[str, float]]]:
    for step in (1, 2, 3):
        yield {place: {"loss": config.x + 1 / step} for place, config in enumerate(configs)}


def measure(trials: int, inline: bool) -> tuple[float, float]:
    """Seconds from the start of the run to its last record, and the largest memory of this process, in MiB."""
    from sweeps.resolve import load
    from sweeps.run import Options, create, drive

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "growth.yaml"
        path.write_text(SWEEP.format(trials=trials))
        (Path(folder) / "growth.py").write_text(Path(__file__).read_text())
        made = create(load(path), Path(folder) / "runs")
        began = time.perf_counter()
        outcome = drive(made, Options(inline=inline))
        assert outcome == "finished", outcome
        return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    if len(options.trials) > 1:  # each in a process of its own
        print("| trials | seconds | ms per trial | memory in MiB |\n|---|---|---|---|", flush=True)  # noqa: T201
        for count in options.trials:
            flags = ["--ray"] * options.ray
            command = [sys.executable, __file__, "--trials", str(count), *flags]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(done.stdout.strip() if done.returncode == 0 else done.stderr, flush=True)  # noqa: T201
        return
    (count,) = options.trials
    seconds, memory = measure(count, inline=not options.ray)
    print(f"| {count} | {seconds:.1f} | {1000 * seconds / count:.1f} | {memory:.0f} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

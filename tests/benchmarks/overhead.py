"""How much time Ray adds to a trial: runs trivial trials one after the other and prints milliseconds per trial.

python tests/benchmarks/overhead.py [number of trials]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FAKES = str(Path(__file__).parents[1] / "cluster")
sys.path.append(FAKES)
os.environ["PYTHONPATH"] = FAKES  # for the workers

from fakes import FakeSource, OpenFiles, order  # noqa: E402

from cluster import tune  # noqa: E402
from cluster.session import session  # noqa: E402


@dataclass(frozen=True)
class Resources:
    cpus: float = 1
    gpus: float = 0
    workers: int = 0


def measure(num_trials: int) -> float:
    """Seconds for all of them."""
    source = FakeSource([order(f"t{n}", "plain", {"x": n}) for n in range(num_trials)])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tune.run(source, OpenFiles(Path(folder)), resources=Resources())
        return time.perf_counter() - began


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with session():
        first = measure(1)
        many = measure(count)
    print(f"{1000 * (many - first) / (count - 1):.0f} ms per trial, and {first:.1f} s to start")  # noqa: T201

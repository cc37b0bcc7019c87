"""How long the commands that look at a run take on one of 10,000 trials.

    python tests/benchmarks/ledger_10k.py [number of trials]

The run is synthetic: its decisions are those of a real search, whose trials are answered by a formula.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis import records
from cluster.work import Ending, Idle, Report
from sweeps import resolve, run
from sweeps.ledger import Ledger, LedgerSink
from sweeps.search import Search
from trainables import registry
from trainables.api import Order, Outcome

TRAINABLE = """
def train(config):
    for step in range(1, 6):
        yield {"step": step, "loss": (config["lr"] - 0.1) ** 2 + config["a"] / step, "accuracy": 0.5, "speed": 1e3}
"""

SWEEP = """
sweep: large
question: How long does a look at {trials} trials take?
trainable: large.py:train
factors: {{a: {{linear: [1, 20], levels: 20}}}}
nuisance: {{lr: {{low: 0.01, high: 1.0, log: true}}, momentum: {{low: 0.0, high: 1.0}}}}
objective: {{minimize: loss}}
search: {{sampler: random, points: {points}}}
seeds: {{tune: 1, confirm: 20}}
"""


def make(folder: Path, trials: int) -> Path:
    """A finished run whose last confirm trial is missing, so that a resume has something to do."""
    (folder / "large.py").write_text(TRAINABLE)
    (folder / "large.yaml").write_text(SWEEP.format(trials=trials, points=trials // 20 - 20))
    resolved = resolve.load(folder / "large.yaml")
    made = run.create(resolved, folder / "runs")
    trainable = registry.find("large.py:train", folder)
    with Ledger(made).open() as ledger:
        search = Search(resolved.sweep, resolve=trainable.resolve, record=ledger.record)
        for cell in search.cells:
            ledger.record_cell(cell.id, dict(cell.levels), search.studies[cell.id].signature)
        ledger.record("run", event="started", cells=[cell.id for cell in search.cells])
        answered = _answer(search, made, trainable, trials - 1)
    assert answered == trials - 1
    return made


def _answer(search: Search, made: Path, trainable: registry.Trainable, trials: int) -> int:
    answered = 0
    while answered < trials and not isinstance(planned := search.next(), Idle):
        attempt = search.started(planned.trial)
        sink = LedgerSink(made, Order(trial=planned.trial, trainable="", config={}, seed=0, attempt=attempt))
        for metrics in trainable.function(planned.config):
            sink.report(metrics["step"], metrics)
            search.reported(planned.trial, [Report(metrics["step"], metrics)])
        search.ended(planned.trial, Ending(Outcome.DONE), 0.01)
        answered += 1
    return answered


def seconds(folder: Path, *words: str) -> float:
    """Wall time of a command in a process of its own."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "sweeps.cli", *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return time.perf_counter() - began


def replay_seconds(made: Path) -> float:
    """Of what a resume does before the first trial starts."""
    resolved = resolve.load(made / records.LOCK_FILE)
    trainable = registry.find(resolved.sweep.trainable, run.search_path(made))
    began = time.perf_counter()
    with Ledger(made).open() as ledger:
        search = Search(resolved.sweep, resolve=run.cached_resolve(trainable), record=ledger.record)
        search.replay(ledger.records)
        search.next()
    return time.perf_counter() - began


def main(trials: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = make(folder, trials)
        last = next(r["trial"] for r in reversed(records.read_decisions(made).records) if r["kind"] == "done")
        return {
            "nothing (assay --help)": seconds(folder, "--help"),
            "assay status": seconds(folder, "status", "large"),
            "assay runs": seconds(folder, "runs"),
            "assay rerun, segments": seconds(folder, "rerun", "large", last),
            "replay of a resume": replay_seconds(made),
            "assay resume --inline": seconds(folder, "resume", "large", "--inline"),
            "assay rerun, compacted": seconds(folder, "rerun", "large", last),
        }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for what, time_s in main(count).items():
        print(f"{what:26} {time_s:6.2f} s")  # noqa: T201

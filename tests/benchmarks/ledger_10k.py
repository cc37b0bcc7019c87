"""How long the commands that look at a run take on one of 10,000 trials.

    python tests/benchmarks/ledger_10k.py [number of trials]

The run is synthetic: its decisions are those of a real search, whose trials are answered by a formula.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis import records
from cluster.work import Ending, Idle, Report
from sweeps import folder, resolve, run
from sweeps.ledger import Ledger, LedgerSink
from sweeps.planner import Configs
from sweeps.search import Search
from trainables import registry
from trainables.api import Order, Outcome

TRAINABLE = """
def train(config):
    for step in range(1, 6):
        yield {"loss": (config["lr"] - 0.1) ** 2 + config["a"] / step, "accuracy": 0.5, "speed": 1e3}
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


def make(here: Path, trials: int) -> Path:
    """A finished run whose last confirm trial is missing, so that a resume has something to do."""
    (here / "large.py").write_text(TRAINABLE)
    (here / "large.yaml").write_text(SWEEP.format(trials=trials, points=trials // 20 - 20))
    resolved = resolve.load(here / "large.yaml")
    made = run.create(resolved, here / "runs")
    trainable = registry.find("large.py:train", here)
    with Ledger(made).open() as ledger:
        search = Search(resolved.sweep, Configs(trainable.resolve), record=ledger.record)
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
        for step, metrics in enumerate(trainable.function(planned.config), start=1):
            sink.report(step, metrics)
            search.reported(planned.trial, [Report(step, metrics)])
        search.ended(planned.trial, Ending(Outcome.DONE), 0.01)
        answered += 1
    return answered


def seconds(here: Path, *words: str) -> tuple[float, float]:
    """Wall and CPU time of a command in a process of its own."""
    return _seconds(here, "-m", "sweeps.cli", *words)


def _seconds(here: Path, *words: str) -> tuple[float, float]:
    began, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, *words], cwd=here, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    after = os.times()
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - began, cpu_s


def replay_seconds(made: Path) -> tuple[float, float]:
    """Of what a resume does from the opened ledger to the first trial that it starts."""
    resolved = resolve.load(made / records.LOCK_FILE)
    trainable = registry.find(resolved.sweep.trainable, folder.search_path(made))
    began, cpu_began = time.perf_counter(), time.process_time()
    with Ledger(made).open() as ledger:
        search = Search(resolved.sweep, Configs(run.cached_resolve(trainable)), record=ledger.record)
        run.replay(search, ledger)
        search.next()
    return time.perf_counter() - began, time.process_time() - cpu_began


RESUME = "from pathlib import Path; from sweeps.run import Options, drive; drive(Path({!r}), Options(inline=True))"


def main(trials: int) -> dict[str, tuple[float, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        made = make(here, trials)
        last = next(r["trial"] for r in reversed(records.read_decisions(made).records) if r["kind"] == "done")
        return {
            "assay --help": seconds(here, "--help"),
            "assay status": seconds(here, "status", "large"),
            "assay runs": seconds(here, "runs"),
            "assay rerun": seconds(here, "rerun", "large", last),
            "resume: replay alone": replay_seconds(made),
            "resume: all but the report": _seconds(here, "-c", RESUME.format(str(made))),
            "assay rerun, compacted": seconds(here, "rerun", "large", last),
        }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{'':28} wall    CPU")  # noqa: T201
    for what, (wall_s, cpu_s) in main(count).items():
        print(f"{what:26} {wall_s:6.2f} {cpu_s:6.2f} s")  # noqa: T201

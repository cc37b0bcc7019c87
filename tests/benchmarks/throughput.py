"""Trials per minute of Assay and of four other ways to do the same work, from command to finished results.

python tests/benchmarks/throughput.py [--models mlp cnn] [--trials 256] [--slow-trials 32] [--only assay bare_loop ...]

Each contender is a process of its own, one after the other. `contenders/work.py` says what a trial is. Ray Tune with a
process per trial is slow, so that --slow-trials of it stand for all: its start-up then weighs more than it should. So
is the loop with two threads where cores are busy.
Run it on an idle machine; the loop over plain PyTorch counts with one thread or two, whichever is quicker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis import Run, load

HERE = Path(__file__).parent
LOOPS = ("bare_loop --threads 1", "bare_loop --threads 2")
CONTENDERS = ("plain_tune", "reused_actors", "optuna_jobs", *LOOPS, "assay")
SLOW = ("plain_tune", LOOPS[1])  # of two threads, one may wait long for a core


@dataclass(frozen=True)
class Result:
    contender: str
    trials: int
    seconds: float  # of the whole process, its end included
    running_s: float  # from the start of the first trial to the end of the last one
    accuracy: float  # mean over the trials, on held-out examples

    @property
    def per_minute(self) -> float:
        return 60 * self.trials / self.seconds

    @property
    def per_minute_running(self) -> float:
        return 60 * self.trials / self.running_s


def run_script(contender: str, model: str, trials: int) -> Result:
    name, *options = contender.split()
    script = str(HERE / "contenders" / f"{name}.py")
    seconds, output = _timed([sys.executable, script, "--model", model, "--trials", str(trials), *options])
    row = next(json.loads(line) for line in reversed(output.splitlines()) if line.startswith('{"contender"'))
    return Result(contender, row["trials"], seconds, row["without_startup_s"], row["mean_accuracy"])


def run_assay(model: str, trials: int) -> Result:
    """The sweep file beside this one; fewer trials are had with fewer weight decays."""
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"fixed.model.name={model}", f"nuisance.optimizer.weight_decay.levels={max(1, trials // 32)}"]
        options = [word for one in sets for word in ("--set", one)]
        assay = str(Path(sys.executable).with_name("assay"))
        command = [assay, "run", str(HERE / "throughput.yaml"), "--runs", folder]
        seconds, _ = _timed([*command, *options])
        return _from_ledger(load(folder + "/throughput"), seconds)


def _from_ledger(run: Run, seconds: float) -> Result:
    attempts, reports = run.attempts, run.reports
    accuracy = reports[reports.metric == "accuracy/test"].groupby("trial").value.last().mean()
    running_s = attempts.ended.max() - attempts.started.min()
    return Result("assay", attempts.trial.nunique(), seconds, float(running_s), float(accuracy))


def _timed(command: list[str]) -> tuple[float, str]:
    """Seconds and output. Fails with the contender's own words."""
    settings = ("RAY_ADDRESS", "OMP_NUM_THREADS")  # each sets its threads itself and starts a Ray of its own
    environment = {k: v for k, v in os.environ.items() if k not in settings} | {"PYTHONPATH": str(HERE.parents[1])}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds, done.stdout


def measure(model: str, trials: int, slow_trials: int, only: Iterable[str]) -> list[Result]:
    results = []
    for contender in (c for c in CONTENDERS if c.split()[0] in only):
        count = min(trials, slow_trials) if contender in SLOW else trials
        print(f"{model}: {contender}, {count} trials ...", file=sys.stderr, flush=True)  # noqa: T201
        results.append(run_assay(model, count) if contender == "assay" else run_script(contender, model, count))
    return results


def table(results: list[Result]) -> str:
    """Markdown. The ratios are of Assay's trials per minute to the contender's, with start-up and without."""
    ours = next((r for r in results if r.contender == "assay"), None)

    def ratio(result: Result, speed: Callable[[Result], float]) -> str:
        return f"{speed(ours) / speed(result):.1f}" if ours else "-"

    head = "| contender | trials | seconds | trials per minute | assay is quicker by | without start-up | accuracy |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for r in results:
        ratios = f"{ratio(r, lambda x: x.per_minute)} | {ratio(r, lambda x: x.per_minute_running)}"
        row = f"{r.contender} | {r.trials} | {r.seconds:.1f} | {r.per_minute:.0f} | {ratios} | {r.accuracy:.3f}"
        lines.append(f"| {row} |")
    return "\n".join(lines)


def main() -> None:
    names = sorted({c.split()[0] for c in CONTENDERS})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--trials", type=int, default=256, help="a multiple of 32")
    parser.add_argument("--slow-trials", type=int, default=32)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    for model in options.models:
        results = measure(model, options.trials, options.slow_trials, options.only)
        print(f"\n{model}\n\n{table(results)}\n")  # noqa: T201


if __name__ == "__main__":
    main()

"""Trials per minute of Assay and of four other ways to do the same work, from command to finished results.

python tests/benchmarks/throughput.py [--models mlp cnn] [--trials 256] [--only assay bare_loop ...] [--keep FILE]

Each contender is a process of its own, one after the other. `contenders/work.py` says what a trial is. Assay runs all
trials; the others, which take the same time for each trial, run the first --other-trials (--slow-trials, of Ray Tune
with a process per trial), and the time that their trials took is scaled up, the one before and after them is not.
What --keep FILE has of an earlier run, which may have been cut off, is not measured again.
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
from dataclasses import asdict, dataclass, replace
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
    trials: int  # that it ran
    seconds: float  # from the command to the end of the process; of Assay, to the finished ledger
    running_s: float  # from the start of the first trial to the end of the last one
    accuracy: float  # mean over the trials, on held-out examples
    report_s: float = 0.0  # of Assay: from the finished ledger to the finished report, and the end of the process

    def scaled(self, trials: int) -> Result:
        """What it would have been of more trials of the same kind."""
        running_s = self.running_s * max(1, trials / self.trials)
        return replace(self, seconds=self.seconds - self.running_s + running_s, running_s=running_s)


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
        # Sizes of cohorts that earlier runs have found out are forgotten.
        began = time.time()
        seconds, _ = _timed([*command, *options], XDG_CACHE_HOME=folder + "/cache")
        return _from_ledger(load(folder + "/throughput"), began, seconds)


def _from_ledger(run: Run, began: float, seconds: float) -> Result:
    attempts, reports = run.attempts, run.reports
    finished_s = _finished(run) - began
    accuracy = reports[reports.metric == "accuracy/test"].groupby("trial").value.last().mean()
    running_s = attempts.ended.max() - attempts.started.min()
    count = attempts.trial.nunique()
    return Result("assay", count, finished_s, float(running_s), float(accuracy), seconds - finished_s)


def _finished(run: Run) -> float:
    """When the ledger was: in seconds since 1970."""
    return float(run.events[run.events.event == "finished"].time.iloc[-1])


def _timed(command: list[str], **more: str) -> tuple[float, str]:
    """Seconds and output. Fails with the contender's own words."""
    settings = ("RAY_ADDRESS", "OMP_NUM_THREADS")  # each sets its threads itself and starts a Ray of its own
    environment = {k: v for k, v in os.environ.items() if k not in settings} | {
        "PYTHONPATH": str(HERE.parents[1]),
        **more,
    }
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds, done.stdout


def measure(model: str, options: argparse.Namespace) -> list[Result]:
    known = _kept(options.keep, model)
    results = []
    for contender in (c for c in CONTENDERS if c.split()[0] in options.only):
        count = options.trials if contender == "assay" else options.other_trials
        count = min(options.slow_trials, count) if contender in SLOW else count
        if (contender, count) not in known:
            print(f"{model}: {contender}, {count} trials ...", file=sys.stderr, flush=True)  # noqa: T201
            result = run_assay(model, count) if contender == "assay" else run_script(contender, model, count)
            known[contender, count] = result
            _keep(options.keep, model, count, result)
        results.append(known[contender, count])
    return results


def _kept(path: Path | None, model: str) -> dict[tuple[str, int], Result]:
    """By contender and the number of trials that it was asked for; Assay has a confirm trial more."""
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {
        (row["result"]["contender"], row["asked"]): Result(**row["result"]) for row in rows if row["model"] == model
    }


def _keep(path: Path | None, model: str, asked: int, result: Result) -> None:
    if path:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"model": model, "asked": asked, "result": asdict(result)}) + "\n")


def table(results: list[Result], trials: int) -> str:
    """Markdown, of so many trials. The ratios are of the others' seconds to Assay's, with start-up and without."""
    ours = next((r for r in results if r.contender == "assay"), None)
    head = "| contender | trials run | seconds | per minute | Assay is quicker by | without start-up | accuracy |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for measured in results:
        r = measured.scaled(trials)
        ratios = f"{r.seconds / ours.seconds:.1f} | {r.running_s / ours.running_s:.1f}" if ours else "- | -"
        times = f"{r.seconds:.1f} | {60 * trials / r.seconds:.0f}"
        lines.append(f"| {r.contender} | {r.trials} | {times} | {ratios} | {r.accuracy:.3f} |")
    after = [f"\nAssay's report was there {ours.report_s:.1f} s after the ledger."] if ours else []
    return "\n".join(lines + after)


def main() -> None:
    names = sorted({c.split()[0] for c in CONTENDERS})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--trials", type=int, default=256, help="a multiple of 32")
    parser.add_argument("--other-trials", type=int, default=32)
    parser.add_argument("--slow-trials", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--keep", type=Path, metavar="FILE")
    options = parser.parse_args()
    for model in options.models:
        results = measure(model, options)
        print(f"\n{model}\n\n{table(results, options.trials)}\n")  # noqa: T201


if __name__ == "__main__":
    main()

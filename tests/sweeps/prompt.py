"""A user at the prompt, in a folder outside the repository."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from analysis import records
from sweeps import cli, cli_analysis

TRAINABLE = '''
def train(config, trial):
    """A bowl whose bottom is at lr = 0.1 a; three noisy reports."""
    noise = trial.streams.numpy("noise")
    for step in (1, 2, 3):
        yield {"step": step, "loss": (config["lr"] - 0.1 * config["a"]) ** 2 + 0.001 * noise.normal()}
'''

SWEEP = """
sweep: bowl
question: Which a is lower?
trainable: bowl.py:train
factors: {a: [1, 2]}
nuisance: {lr: {low: 0.01, high: 1.0, log: true}}
objective: {minimize: loss}
search: {sampler: random, points: 3}
seeds: {tune: 1, confirm: 2}
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


class User:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports = True  # whether `assay` in this process writes a report at the end of a run, which takes a while

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def bowl(self, **keys: str) -> None:
        """``bowl.py``, and ``bowl.yaml`` with some top-level keys of the sweep changed or added."""
        self.write("bowl.py", TRAINABLE)
        self.bowl_sweep(**keys)

    def bowl_sweep(self, **keys: str) -> None:
        kept = [line for line in SWEEP.strip().splitlines() if line.partition(":")[0] not in keys]
        self.write("bowl.yaml", "\n".join([*kept, *(f"{key}: {value}" for key, value in keys.items()), ""]))

    def assay(self, *words: str) -> Said:
        """Run a command in this process, where it is quick."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.folder))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            stack.enter_context(mock.patch.object(sys, "argv", ["assay", *words]))
            if not self.reports and words[0] in ("run", "resume"):
                stack.enter_context(mock.patch.object(cli_analysis, "write_report"))
            for console in (cli_analysis.out, cli_analysis.err):
                stack.enter_context(mock.patch.object(console, "_width", 200))
            try:
                cli.main()
                code = 0
            except SystemExit as leaving:
                code = int(leaving.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def start(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ASSAY_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "sweeps.cli", *words],
            cwd=self.folder,
            env={**environment, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def process(self, *words: str, timeout_s: float = 120.0) -> Said:
        """Run a command in a process of its own."""
        with self.start(*words) as started:
            try:
                out, err = started.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                started.kill()
                raise
        return Said(started.returncode, out, err)

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs").glob("*/*"))

    @property
    def run(self) -> Path:
        """The only run."""
        (run,) = self.runs
        return run


def in_one_line(text: str) -> str:
    """Without the wrapping and the boxes of a table."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def decisions(run: Path, *kinds: str) -> list[records.Record]:
    """Those of these kinds, or all."""
    return [r for r in records.read_decisions(run).records if not kinds or r["kind"] in kinds]


def started(run: Path) -> Counter[str]:
    """Trial -> how many attempts it has had."""
    return Counter(record["trial"] for record in decisions(run, "started"))

"""Runs one trial of a run again, in this process and without Ray, and compares what it reports with the ledger."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis import records
from analysis.records import LOCK_FILE, Record
from cluster.work import Ending
from sweeps import folder, resolve
from sweeps.ledger import Ledger, RunError
from sweeps.objective import watched
from trainables import registry
from trainables.api import Metrics, Nowhere, Order, Stage
from trainables.attempt import Attempt
from trainables.config import nearest


@dataclass(frozen=True)
class Step:
    """One report now, and the names of the metrics that differ from the ledger, which may not hold the step."""

    step: int
    metrics: Metrics
    known: bool
    differ: tuple[str, ...]


@dataclass(frozen=True)
class Rerun:
    """A trial that is about to run again; iterate over its steps, then read ``ending``."""

    planned: Record
    attempt: Attempt
    before: Mapping[int, Metrics]
    ignored: tuple[str, ...]

    def __iter__(self) -> Iterator[Step]:
        try:
            for step, metrics in self.attempt:
                before = self.before.get(step)
                yield Step(step, metrics, before is not None, self._differ(before or metrics, metrics))
        finally:
            shutil.rmtree(Path(self.attempt.order.folder).parent)

    def _differ(self, before: Metrics, now: Metrics) -> tuple[str, ...]:
        names = [name for name in {**before, **now} if name not in self.ignored]
        return tuple(n for n in names if repr(before.get(n)) != repr(now.get(n)))

    @property
    def ending(self) -> Ending:
        return self.attempt.ending


def rerun(run: Path, trial: str) -> Rerun:
    """``trial`` may be the beginning of an id. Raises RunError if it names none, or several."""
    planned = _planned(run, trial)
    sweep = resolve.load(run / LOCK_FILE).sweep
    resources, reference = sweep.resources, sweep.trainable
    trainable = registry.find(reference, folder.search_path(run))
    scratch = tempfile.mkdtemp(prefix="assay-rerun-")
    order = Order(
        trial=planned["trial"],
        trainable=reference,
        config=planned["config"],
        seed=planned["seed"],
        folder=f"{scratch}/trial",
        store=str(run.resolve() / "artifacts"),
        objectives=watched(sweep),
        threads=max(1, int(resources.cpus)),
        gpus=resources.gpus,
        search_path=str(folder.search_path(run)),
        stages=tuple(Stage(config, until) for config, until, _ in planned.get("earlier", ())),
    )
    before = {report.step: report.metrics for report in Ledger(run).history(planned["trial"]).get(planned["trial"], [])}
    return Rerun(planned, Attempt(order, Nowhere()), before, trainable.not_reproducible)


def _planned(run: Path, trial: str) -> Record:
    found = [r for r in records.read_some(run / records.DECISIONS, f'"trial":"{trial}') if r["kind"] == "planned"]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{trial}: {len(found)} trials of {run} begin so: {', '.join(r['trial'] for r in found[:5])}")
    near = nearest(trial, [r["trial"] for r in records.read_decisions(run).records if r["kind"] == "planned"])
    raise RunError(f"{trial}: no such trial in {run}" + (f"; did you mean {near}?" if near else ""))

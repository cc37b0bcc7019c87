"""Runs one trial of a run again, in this process and without Ray, and compares what it reports with the ledger."""

from __future__ import annotations

import math
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
from sweeps.run import stacks
from trainables import registry
from trainables.api import Metrics, Nowhere, Order, Stage
from trainables.attempt import Attempt
from trainables.config import nearest

TOLERANCE = 1e-3  # relative, between a trial alone and in a cohort, whose sums are rounded in another order
_NEAR_ZERO = 1e-6  # differences below this are none


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
    tolerance: float = 0.0  # relative; 0: bit for bit

    @property
    def comparison(self) -> str:
        """When a report counts as the same, in words."""
        if not self.tolerance:
            return "compared bit for bit with what the ledger holds"
        return (
            "it may have run in a cohort, where sums are rounded in another order, and now runs alone: "
            f"metrics count as before up to a relative difference of {self.tolerance:g}"
        )

    def __iter__(self) -> Iterator[Step]:
        try:
            for step, metrics in self.attempt:
                before = self.before.get(step)
                yield Step(step, metrics, before is not None, self._differ(before or metrics, metrics))
        finally:
            shutil.rmtree(Path(self.attempt.order.folder).parent)

    def _differ(self, before: Metrics, now: Metrics) -> tuple[str, ...]:
        names = [name for name in {**before, **now} if name not in self.ignored]
        return tuple(name for name in names if not self._same(before.get(name), now.get(name)))

    def _same(self, before: float | None, now: float | None) -> bool:
        if repr(before) == repr(now):
            return True
        if before is None or now is None or not self.tolerance:
            return False
        return math.isclose(before, now, rel_tol=self.tolerance, abs_tol=_NEAR_ZERO)

    @property
    def ending(self) -> Ending:
        return self.attempt.ending


def rerun(run: Path, trial: str) -> Rerun:
    """``trial`` may be the beginning of an id. Raises RunError if it names none, or several."""
    if folder.read_environment(run).get("simulated"):
        raise RunError(f"{run}: simulated, so no trial has run that could run again")
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
    tolerance = TOLERANCE if stacks(sweep, trainable) else 0.0
    return Rerun(planned, Attempt(order, Nowhere()), before, trainable.not_reproducible, tolerance)


def _planned(run: Path, trial: str) -> Record:
    found = [r for r in records.read_some(run / records.DECISIONS, f'"trial":"{trial}') if r["kind"] == "planned"]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{trial}: {len(found)} trials of {run} begin so: {', '.join(r['trial'] for r in found[:5])}")
    near = nearest(trial, [r["trial"] for r in records.read_decisions(run).records if r["kind"] == "planned"])
    raise RunError(f"{trial}: no such trial in {run}" + (f"; did you mean {near}?" if near else ""))

# ruff: noqa: ARG002 - Tune gives its hooks more than they need
"""Runs trials on Ray: one Tune run that takes trials from a source and asks it about every report."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, PlacementGroupFactory, Trainable
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cluster import placement
from cluster.capacity import Capacity
from cluster.guard import Guard
from cluster.metrics import Counted
from cluster.newcomers import Newcomers
from cluster.placement import Resources, Sizes
from cluster.solo import SoloTrial
from cluster.traffic import Traffic
from cluster.work import Batch, Ending, Idle, OpenSink, Source, Work
from trainables.api import Outcome

_GRACE_S = 2.0  # from a stop to the end of the processes that have not reported since

_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the old reporter can be silenced
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of data stay right
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000000",  # the search says how many
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # no snapshots: the ledger is the source of truth
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000000",  # sic
}


def run(
    source: Source,
    open_sink: OpenSink,
    *,
    resources: Resources,
    max_concurrent: int | None = None,
    autoscale: bool = False,
    sizes: Sizes | None = None,
    say: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
) -> None:
    """Run what ``source`` gives out until it has no more, or is stopping. Ray has to be up.

    Args:
        source: of trials.
        open_sink: for their reports.
        resources: of each process.
        max_concurrent: processes that run trials at a time at most; as many as fit if None, while nodes come and go.
        autoscale: let trials wait for nodes that the cluster may add.
        sizes: how many trials a process may stack; one if None.
        say: told when nodes come and go.
        folder: of the run, by which it is told from others; a node that joins and does not see it gets no trials.

    Raises:
        PlacementError: if not one trial fits. Whatever the source raises is raised, too.
    """
    if folder:
        source = Counted(source, f"{folder.parent.name}/{folder.name}")
    newcomers = Newcomers(folder, say)
    capacity = Capacity(resources, max_concurrent, autoscale=autoscale, say=say, look=newcomers.look)
    traffic = Traffic(source, open_sink, sizes or Sizes(1), takes=placement.bundle(resources), sharing=capacity.now)
    guard = Guard(resources.heartbeat_s)
    with tempfile.TemporaryDirectory(prefix="assay-tune-") as storage, _quietly(), contextlib.closing(guard):
        tune.run(
            _process(resources),
            name="assay",
            storage_path=storage,
            search_alg=_Search(traffic, capacity, newcomers, guard),
            scheduler=_Schedule(traffic, guard),
            callbacks=[_Starts(traffic, guard)],
            resources_per_trial=_request(placement.bundle(resources), {}, workers=resources.workers),
            num_samples=-1,
            reuse_actors=resources.workers == 0,
            max_failures=0,
            raise_on_failed_trial=False,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
            verbose=0,
        )
    traffic.settle()


def _process(resources: Resources) -> type[Trainable]:
    if not resources.workers:
        return SoloTrial
    from cluster.train import GroupTrial

    return GroupTrial


def _request(takes: Mapping[str, float], where: Mapping[str, str], *, workers: int) -> PlacementGroupFactory:
    """What the Tune actor takes. The workers of a group are placed by Ray Train; an empty bundle would be refused."""
    bundle: dict[str, float] = {"CPU": 0, "memory": 2**20} if workers else dict(takes)
    if where:
        return PlacementGroupFactory([bundle], bundle_label_selector=[dict(where)])
    return PlacementGroupFactory([bundle])


def _name(trial: Trial) -> str:
    return trial.trial_id


class _Search(Searcher):
    """Tune's view of where trials come from."""

    def __init__(self, traffic: Traffic, capacity: Capacity, newcomers: Newcomers, guard: Guard) -> None:
        super().__init__()
        self._traffic, self._capacity, self._newcomers, self._guard = traffic, capacity, newcomers, guard
        self._processes: set[str] = set()  # that run, or wait for a place

    def suggest(self, trial_id: str) -> Any:
        self._traffic.sharing = max(1, self._capacity.now)
        if len(self._processes) >= self._capacity.now and not self._traffic.stopping:
            return None
        work = self._traffic.next(trial_id)
        if isinstance(work, Idle):
            return Searcher.FINISHED if work is Idle.FINISHED else None
        self._processes.add(trial_id)
        return {"work": replace(work, heart=self._guard.heart(trial_id), where=self._newcomers.where)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The schedule has told the source already."""
        self._processes.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing here outlives the run."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing here outlives the run."""


class _Schedule(FIFOScheduler):
    """Tune's view of what becomes of a running trial."""

    def __init__(self, traffic: Traffic, guard: Guard) -> None:
        super().__init__()
        self._traffic, self._guard = traffic, guard
        self._stop_began: float | None = None
        self._killed: set[str] = set()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial that had too little memory of a GPU takes a larger share of one, and some nodes may have none."""
        work: Work = trial.config["work"]
        request = _request(work.takes, work.where, workers=work.orders[0].workers)
        if request != trial.placement_group_factory:
            trial.update_resources(request)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        batch: Batch = result["batch"]
        actor = _actor(trial)
        if self._guard.has_to_leave(trial.trial_id) and actor:
            self._traffic.take(trial.trial_id, batch)
            actor.leave.remote()  # after which its next step fails
            return TrialScheduler.CONTINUE
        if (stops := self._traffic.take(trial.trial_id, batch)) and actor:
            actor.drop.remote(stops)
        if (orders := self._traffic.more(trial.trial_id, batch, len(stops))) and actor:
            actor.add.remote(orders)
        if self._traffic.busy(trial.trial_id):
            return TrialScheduler.CONTINUE
        self._guard.forget(trial.trial_id)
        return TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        lost = self._guard.loss(trial.trial_id, _why(trial))
        self._guard.forget(trial.trial_id)
        if (actor := _actor(trial)) is not None:
            ray.kill(actor)  # one that could only not be reached would go on beside the next attempt
        self._traffic.end(trial.trial_id, Ending(Outcome.CANCELLED) if trial.trial_id in self._killed else lost)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._traffic.end(trial.trial_id, Ending(Outcome.CANCELLED))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called again and again, whatever the trials do. Tune itself starts those that wait."""
        running = {t.trial_id: _actor(t) for t in tune_controller.get_live_trials() if t.status == Trial.RUNNING}
        self._guard.look(running.get)
        if self._traffic.stopping:
            self._stop(tune_controller)

    def _stop(self, tune_controller: Any) -> None:
        """End what has not begun; after the grace also what does not report."""
        self._stop_began = self._stop_began or time.monotonic()
        overdue = time.monotonic() - self._stop_began > _GRACE_S
        for trial in list(tune_controller.get_live_trials()):
            if trial.status == Trial.PENDING:
                tune_controller.stop_trial(trial)
            elif trial.status == Trial.RUNNING and overdue and trial.trial_id not in self._killed:
                self._killed.add(trial.trial_id)
                ray.kill(_actor(trial))


def _actor(trial: Trial) -> Any:
    return trial.temporary_state.ray_actor


class _Starts(Callback):
    def __init__(self, traffic: Traffic, guard: Guard) -> None:
        self._traffic, self._guard = traffic, guard

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._traffic.started(trial.trial_id)
        self._guard.started(trial.trial_id, _actor(trial))


def _why(trial: Trial) -> str:
    """What Tune has written down about the death of an actor, without its headline and colours."""
    path = Path(trial.error_file) if trial.error_file else None
    text = path.read_text(encoding="utf-8") if path and path.exists() else ""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).strip().splitlines()[1:]
    return "\n".join(["the process of the attempt died", *lines])


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Tune's settings, signal handler and log level, for the time of a run."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    logger, level = logging.getLogger("ray"), logging.getLogger("ray").level
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGUSR1)  # Tune takes this one, whatever one says
    os.environ.update({name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()})
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        if main:
            signal.signal(signal.SIGUSR1, handler)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

"""Trials of several processes: the same attempt in every worker of a Ray Train ``TorchTrainer``.

A Tune actor starts the trainer in a thread and stands between its workers and Tune. All of them meet at a relay: rank 0
leaves its reports there and learns whether to go on, so that a trial that is pruned or stopped ends by itself, saves
what it offered, and gives its resources back.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import ray
from ray.actor import exit_actor
from ray.tune import Trainable

from cluster.failures import cause_of
from cluster.relay import Relay
from cluster.work import Batch, Ending, Report, Work
from trainables import share
from trainables.api import Nowhere, Order, Outcome
from trainables.attempt import Attempt

_BATCH_S = 0.5  # how long the Tune actor waits for a report before it looks around
_GRACE_S = 10.0  # from the decision to end a trial to the end of its actor, whatever the workers do


class GroupTrial(Trainable):
    """The Tune actor of a trial with workers."""

    def setup(self, config: dict[str, Any]) -> None:
        self._work: Work = config["work"]
        self._relay: Any = None
        self._fit = threading.Thread(target=self._run, daemon=True)
        self._error = ""
        self.config = {}  # Tune would send it back with each result

    @property
    def _order(self) -> Order:
        (order,) = self._work.orders
        return order

    def step(self) -> dict[str, Any]:
        if self._relay is None:
            self._relay = ray.remote(num_cpus=0)(Relay).remote()
            self._fit.start()
        alive = self._fit.is_alive()
        reports: Any = ray.get(self._relay.take.remote(_BATCH_S if alive else 0))
        trial = self._order.trial
        endings = {} if alive or reports else {trial: self._ending()}
        return {"batch": Batch(tuple((trial, report) for report in reports), endings)}

    def _ending(self) -> Ending:
        told: Any = ray.get(self._relay.ending.remote())
        return told or Ending(Outcome.LOST, self._error, cause=cause_of(self._error))

    def _run(self) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        order = self._order
        with tempfile.TemporaryDirectory(prefix="assay-train-") as storage:
            trainer = TorchTrainer(
                work_together,
                train_loop_config={"work": self._work, "relay": self._relay},
                scaling_config=ScalingConfig(
                    num_workers=order.workers,
                    use_gpu=order.gpus > 0,
                    resources_per_worker=dict(self._work.takes),
                    label_selector=dict(self._work.where) or None,
                ),
                run_config=RunConfig(
                    name=f"{order.trial}-{order.attempt}",
                    storage_path=storage,
                    failure_config=FailureConfig(max_failures=0),
                ),
            )
            try:
                trainer.fit()
            except Exception as error:  # noqa: BLE001 - told to the driver as the ending of the attempt
                self._error = f"the workers of the attempt died\n{error}"

    def drop(self, outcomes: Mapping[str, Outcome]) -> None:
        """End the attempt; called by the driver before Tune stops the trial."""
        self.finish(outcomes[self._order.trial])

    def finish(self, outcome: Outcome) -> None:
        """End the attempt, and wait until its workers are gone."""
        if self._relay and self._fit.is_alive():
            ray.get(self._relay.decide.remote(outcome))
            self._fit.join(_GRACE_S)

    def node(self) -> str:
        """The id of the machine that this actor runs on."""
        return ray.get_runtime_context().get_node_id()

    def leave(self) -> None:
        """End the attempt and this process; called when its machine is about to go."""
        self.cleanup()
        exit_actor()

    def cleanup(self) -> None:
        self.finish(Outcome.CANCELLED)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Checkpoints are the attempt's own business."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Checkpoints are the attempt's own business."""


# --- in the workers --------------------------------------------------------------------------------------------------


def work_together(config: dict[str, Any]) -> None:
    """Run the attempt in every worker alike. Rank 0 decides, after each report, whether it goes on."""
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    work, relay, rank = config["work"], config["relay"], get_context().get_world_rank()
    (order,) = work.orders
    _take_device(order)
    sink = Nowhere() if rank else work.open_sink(order)
    beat = work.heart.start() if work.heart else None
    attempt = Attempt(order, sink, rank=rank, world_size=get_context().get_world_size(), pulse=beat)
    for step, metrics in attempt:
        attempt.pulse()
        verdict: Any = None
        if rank == 0:
            verdict = ray.get(relay.report.remote(Report(step, metrics), work.judged or attempt.about_to_save))
            verdict = attempt.ending.outcome if attempt.over else verdict
        if verdict := broadcast_from_rank_zero(verdict):
            attempt.close(verdict)
    _conclude(relay, attempt.ending, rank)


def _conclude(relay: Any, ending: Ending, rank: int) -> None:
    """Rank 0 tells how it ended. A worker that failed tells it too, and ends the group, which may wait for it."""
    alone = ending.outcome in (Outcome.FAILED, Outcome.DIVERGED) and bool(ending.error)
    if rank == 0 or alone:
        ray.get(relay.conclude.remote(ending))
    if alone:
        raise RuntimeError(ending.error)


def _take_device(order: Order) -> None:
    if order.gpus > 0:
        import torch
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
        share.cap(order.gpus)

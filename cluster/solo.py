"""The process of trials that need no other: a Tune actor that does one piece of work after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import ray
from ray.actor import exit_actor
from ray.tune import Trainable

from cluster.stacked import Stacked
from cluster.work import Work
from trainables.api import Order, Outcome


class ToldToLeave(Exception):  # noqa: N818 - it is no fault of a program
    """Why a process is gone that somebody has sent SIGTERM; ``cluster.failures`` knows these words."""


class SoloTrial(Trainable):
    """Every step runs the trials for a while and returns a ``Batch``. What a trainable raises is never raised here."""

    def setup(self, config: dict[str, Any]) -> None:
        self._told_to_leave = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._told)  # Ray's would raise SystemExit inside of the trainable
        self._take(config)

    def _take(self, config: dict[str, Any]) -> None:
        self._work: Work = config["work"]
        self._stacked: Stacked | None = None
        self.config = {}  # Tune would send it back with each result

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_leave = True

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._told_to_leave:  # and the driver has the reports of the step before
            self.cleanup()
            raise ToldToLeave("the process received SIGTERM, and left with the state of its trials")
        if self._stacked is None:
            self._stacked = Stacked(self._work)
        return {"batch": self._stacked.next_batch()}

    def drop(self, outcomes: Mapping[str, Outcome]) -> None:
        """End trials; called by the driver between two steps."""
        if self._stacked:
            self._stacked.drop(outcomes)

    def add(self, orders: Sequence[Order]) -> None:
        """Take more trials of the same shape; called by the driver between two steps."""
        if self._stacked:
            self._stacked.add(orders)

    def node(self) -> str:
        """The id of the machine that it runs on."""
        return ray.get_runtime_context().get_node_id()

    def leave(self) -> None:
        """Save what the trials offer and end the process; called when its machine is about to go."""
        self.cleanup()
        exit_actor()

    def cleanup(self) -> None:
        if self._stacked:
            self._stacked.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Checkpoints are the trials' own business."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Checkpoints are the trials' own business."""

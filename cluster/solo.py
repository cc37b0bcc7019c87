"""The process of a trial that needs no other: a Tune actor that runs one attempt after the other."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Trainable

from cluster.work import Batch, Report, Work
from trainables.api import Outcome
from trainables.attempt import Attempt

_BATCH_S = 0.5  # reports of about this time travel together


class SoloTrial(Trainable):
    """Every step runs the attempt for a while and returns a ``Batch``. What a trainable raises is never raised here."""

    def setup(self, config: dict[str, Any]) -> None:
        self._work: Work = config["work"]
        self._attempt: Attempt | None = None
        self.config = {}  # Tune would send it back with each result

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._attempt is None:
            self._attempt = Attempt(self._work.order, self._work.open_sink(self._work.order))
        return {"batch": self._batch(self._attempt)}

    def _batch(self, attempt: Attempt) -> Batch:
        """Ends before a checkpoint: the driver should have every report that a later attempt will not make again."""
        began, reports = time.monotonic(), []
        for step, metrics in attempt:
            reports.append(Report(step, metrics))
            if self._work.judged or attempt.about_to_save or time.monotonic() - began >= _BATCH_S:
                break
        return Batch(tuple(reports), attempt.ending if attempt.over else None)

    def finish(self, outcome: Outcome) -> None:
        """End the attempt; called by the driver between two steps, before Tune stops the trial."""
        if self._attempt:
            self._attempt.close(outcome)

    def cleanup(self) -> None:
        self.finish(Outcome.CANCELLED)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Checkpoints are the attempt's own business."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Checkpoints are the attempt's own business."""

"""One attempt of one trial in this process: a cohort of one, with its reports one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trainables.api import Ending, Metrics, Order, Outcome, Sink
from trainables.cohort import Cohort


class Attempt:
    """Iterate over its reports, as (step, metrics); each is in the sink before it is handed on.

    What the trainable raises ends the attempt and is never raised here; what the sink raises is. Of the workers of a
    trial only rank 0 reports, saves, and judges the metrics.
    """

    def __init__(
        self,
        order: Order,
        sink: Sink,
        *,
        rank: int = 0,
        world_size: int = 1,
        pulse: Callable[[], None] | None = None,
    ) -> None:
        self.order = order
        self._cohort = Cohort([order], lambda _: sink, rank=rank, world_size=world_size)
        self._cohort.pulse = self.pulse = pulse or self._cohort.pulse
        self._ending: Ending | None = None

    @property
    def over(self) -> bool:
        return self._ending is not None

    @property
    def ending(self) -> Ending:
        assert self._ending, "the attempt goes on"
        return self._ending

    @property
    def about_to_save(self) -> bool:
        """Whether it saves a checkpoint as soon as it goes on. Who counts reports should have this one by then."""
        return self._cohort.about_to_save

    def __iter__(self) -> Iterator[tuple[int, Metrics]]:
        return self

    def __next__(self) -> tuple[int, Metrics]:
        for found in self._cohort:
            self._ending = found.endings.get(self.order.trial)
            if found.reports:
                _, step, metrics = found.reports[0]
                return step, metrics
        raise StopIteration

    def close(self, outcome: Outcome, error: str = "") -> None:
        """End the attempt between two reports. A cancelled one keeps the newest state that was offered."""
        if not self._ending:
            self._ending = Ending(outcome, error)
            self._cohort.close(outcome, error)

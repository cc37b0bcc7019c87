"""The trials that wait for a process, in their order. One that was lost waits for a while first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable


class Waiting:
    def __init__(self, now_s: Callable[[], float], trials: Iterable[str] = ()) -> None:
        self._now_s, self._trials = now_s, deque(trials)
        self._not_before: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trial: str) -> None:
        self._trials.append(trial)

    def add_again(self, trial: str, wait_s: float) -> None:
        """Before the others, once it has waited."""
        self._not_before[trial] = self._now_s() + wait_s
        self._trials.appendleft(trial)

    def take(self, fits: Callable[[str], bool] = lambda _: True) -> str | None:
        """The first that need not wait any longer, of those that fit."""
        found = next((trial for trial in self._trials if self._is_ready(trial) and fits(trial)), None)
        if found:
            self._trials.remove(found)
            self._not_before.pop(found, None)
        return found

    def _is_ready(self, trial: str) -> bool:
        return trial not in self._not_before or self._now_s() >= self._not_before[trial]

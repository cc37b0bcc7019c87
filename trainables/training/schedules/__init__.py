"""Learning-rate schedules, one file each: ``schedule: {name: cosine, warmup_fraction: 0.1}`` picks ``cosine.py``.

A component module has a ``Config`` that satisfies ``ScheduleConfig``.
"""

from __future__ import annotations

from typing import Protocol


class ScheduleConfig(Protocol):
    """What a schedule component's ``Config`` can do."""

    def factor(self, step: int, total: int) -> float:
        """What the learning rate is multiplied by in ``step``, counted from 0, of ``total`` steps."""
        ...

"""What to retry: a pure function of how an attempt ended."""

from __future__ import annotations

from cluster.work import Ending
from trainables.api import Outcome


def should_retry(ending: Ending, attempts: int, retries: int) -> bool:
    """Whether to give out a trial again after ``attempts`` attempts, the one that just ended included.

    Only a process that died is nobody's verdict on the trial. What the trainable raised it would raise again, numbers
    that ran away would run away again, and a trial that was stopped waits for the person who stopped it.
    """
    match ending.outcome:
        case Outcome.LOST:
            return attempts <= retries
        case Outcome.DONE | Outcome.PRUNED | Outcome.DIVERGED | Outcome.FAILED | Outcome.CANCELLED:
            return False

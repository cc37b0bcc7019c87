"""What to retry, when, and with how many others: pure functions of how the attempts of a trial have ended."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.work import Ending
from trainables.api import Cause, Outcome

_MOST_MOVES = 100  # losses that are no fault of the trial, after which it is given up all the same
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0

_OF_THE_MACHINE = (Cause.PREEMPTED, Cause.NODE)


@dataclass(frozen=True)
class Loss:
    """An attempt that was lost. ``suspects``: trials of its process, any of which may have been the cause."""

    cause: Cause
    suspects: int = 1

    @property
    def counts(self) -> bool:
        """Whether the trial itself is to blame, as far as anybody can know."""
        return self.cause not in _OF_THE_MACHINE and self.suspects == 1


@dataclass(frozen=True)
class Decision:
    """Whether a trial gets another attempt, and after how many seconds."""

    retry: bool
    wait_s: float = 0.0


def decide(ending: Ending, trial: str, losses: Sequence[Loss], retries: int, gpus: float = 0) -> Decision:
    """Whether to give out a trial again.

    What the trainable raised it would raise again, numbers that ran away would run away again, and a trial that was
    stopped waits for the person who stopped it. Only what comes from outside is worth another attempt: a process that
    died or hung, memory that others may have taken, a disk that was full.

    Args:
        losses: of this trial since it last began afresh, the one that ``ending`` is included.
        retries: how often a trial that is to blame for its losses gets another attempt. A machine that goes away, and a
            process that died with several trials, count against no trial.
        gpus: that the sweep asks for. While its share of a GPU can grow, lack of memory counts against no trial either.
    """
    if not is_loss(ending):
        return Decision(retry=False)
    counted = sum(loss.counts for loss in losses) - _growths(gpus, losses)
    if counted > retries or len(losses) - counted > _MOST_MOVES:
        return Decision(retry=False)
    return Decision(retry=True, wait_s=backoff_s(trial, len(losses)))


def share_of_gpu(gpus: float, losses: Sequence[Loss]) -> float:
    """GPUs that the next attempt gets: twice the share after each lack of memory, up to a whole one."""
    return min(1.0, gpus * 2 ** _growths(gpus, losses)) if 0 < gpus < 1 else gpus


def _growths(gpus: float, losses: Sequence[Loss]) -> int:
    """How often the share of a GPU was doubled."""
    possible = math.ceil(math.log2(1 / gpus)) if 0 < gpus < 1 else 0
    return min(possible, sum(loss.cause == Cause.MEMORY and loss.counts for loss in losses))


def is_loss(ending: Ending) -> bool:
    """Whether another attempt may end in another way."""
    match ending.outcome:
        case Outcome.LOST:
            return True
        case Outcome.FAILED:
            return ending.cause in (Cause.MEMORY, Cause.STORAGE)
        case Outcome.DONE | Outcome.PRUNED | Outcome.DIVERGED | Outcome.CANCELLED:
            return False


def most_together(losses: Sequence[Loss]) -> int | None:
    """How many trials its next process may have; None if any number.

    Each loss halves the number, so that a trial that takes others with it is alone after a few of them.
    """
    suspects = [loss.suspects for loss in losses if loss.cause not in _OF_THE_MACHINE]
    return max(1, min(suspects) // 2) if suspects else None


def backoff_s(trial: str, losses: int) -> float:
    """Seconds before the next attempt: twice as many after each loss; others for each trial, but always the same."""
    digest = hashlib.sha256(f"{trial} {losses}".encode()).digest()
    jitter = 0.5 + int.from_bytes(digest[:8]) / 2**64
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(losses - 1, 30)) * jitter


UNSEEN = "does not see the run folder"  # what a process says on a node that gets no trials as soon as that is known

_SIGNS = (
    (Cause.MEMORY, ("NODE_OUT_OF_MEMORY", "running low on memory", "MemoryError", "OutOfMemoryError")),
    (Cause.PREEMPTED, ("preempt", "receives a SIGTERM", "received SIGTERM", "terminated expectedly")),
    (Cause.NODE, ("node has died", "node was terminated", "NodeDiedError", "is temporarily unavailable", UNSEEN)),
    (Cause.STORAGE, ("[Errno 28]", "[Errno 30]", "[Errno 122]", "[Errno 5]", "[Errno 116]")),  # full, read-only, ...
)


def cause_of(text: str) -> Cause:
    """Why a process died, by what Ray says about it (as of 2.60)."""
    return next((cause for cause, signs in _SIGNS if any(sign in text for sign in signs)), Cause.DIED)

"""How an attempt has ended that raised: the outcome, the cause, and a trace that speaks of the trainable."""

from __future__ import annotations

import errno
import sys
import traceback
from dataclasses import replace
from types import TracebackType

from trainables.api import Cause, Diverged, Ending, Outcome
from trainables.checkpoint import CheckpointError
from trainables.config import ConfigError
from trainables.reading import ReportError
from trainables.registry import TrainableError
from trainables.secrets import strike_out

_LONGEST_TRACE = 20_000  # characters
_OURS = ("trainables.cohort", "trainables.member", "trainables.registry", __name__)
_NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc")  # torch on CPU, CUDA libraries, C++


def ending_of(error: BaseException, trainable: str) -> Ending:
    """How an attempt of a trainable ends that raised this, without the secrets that the error may quote."""
    ending = _ending_of(error, trainable)
    return replace(ending, error=strike_out(ending.error))


def _ending_of(error: BaseException, trainable: str) -> Ending:
    match error:
        case Diverged():
            return Ending(Outcome.DIVERGED, str(error))
        case KeyboardInterrupt():
            return Ending(Outcome.CANCELLED, "interrupted")
        case TrainableError() | ReportError():
            return Ending(Outcome.FAILED, str(error), cause=Cause.ERROR)
        case ConfigError() | CheckpointError():
            return Ending(Outcome.FAILED, f"{trainable}: {error}", cause=Cause.ERROR)
    return Ending(Outcome.FAILED, trace(error), cause=Cause.MEMORY if is_out_of_memory(error) else Cause.ERROR)


def trace(error: BaseException) -> str:
    """The trace from where the code of the trainable begins."""
    frame: TracebackType | None = error.__traceback__
    while frame and frame.tb_frame.f_globals.get("__name__") in _OURS:
        frame = frame.tb_next
    text = "".join(traceback.format_exception(type(error), error, frame))
    return text if len(text) <= _LONGEST_TRACE else f"...{text[-_LONGEST_TRACE:]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a process or a GPU had no more memory to give. The GPU's unused memory is then given back."""
    torch = sys.modules.get("torch")
    if torch and isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return True
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)

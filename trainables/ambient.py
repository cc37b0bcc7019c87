"""The state of a process that a trainable may lean on: the same at the start of every attempt, whatever ran before."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from trainables.seeding import stream_seed


@contextlib.contextmanager
def ambient(seed: int, threads: int, rank: int = 0) -> Iterator[None]:
    """Default torch settings and seeded global random numbers inside, those of before outside.

    What is not imported yet is left alone: a trainable without torch pays nothing for it, and one that imports it finds
    ``threads`` in the environment. Trainables draw from ``trial.streams``; the global numbers are seeded for code of
    others that does not.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_global_numbers(stream_seed(seed, f"global/{rank}")))
        if torch := sys.modules.get("torch"):
            stack.enter_context(_torch(torch, threads))
        else:
            stack.enter_context(kept_variables("OMP_NUM_THREADS"))
            os.environ["OMP_NUM_THREADS"] = str(threads)
        yield


@contextlib.contextmanager
def kept_variables(*names: str) -> Iterator[None]:
    """Put these variables of the environment back at the end, also where Ray has set them."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _global_numbers(seed: int) -> Iterator[None]:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    before = random.getstate(), numpy and numpy.random.get_state(), torch and torch.get_rng_state()
    random.seed(seed)
    if numpy:
        numpy.random.seed(seed % 2**32)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        if numpy:
            numpy.random.set_state(before[1])
        if torch:
            torch.set_rng_state(before[2])


@contextlib.contextmanager
def _torch(torch: Any, threads: int) -> Iterator[None]:
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    _set_torch(torch, threads, torch.float32, grad=True)
    try:
        yield
    finally:
        _set_torch(torch, *before)


def _set_torch(torch: Any, threads: int, dtype: Any, grad: bool) -> None:
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)


@cache
def reuse_freed_memory() -> None:
    """Let this process keep the memory of large tensors that are freed, up to 2 GB, for the next ones.

    glibc else gives it back to the system and asks for it again in every training step of a cohort, which takes a tenth
    to a fifth of the time. Other C libraries are left as they are.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # from malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((mmap_max, 0), (trim_threshold, 2_000_000_000), (top_pad, 64 << 20)):
            mallopt(option, value)

"""The share of a GPU's memory that a process may use, so that those that share the GPU cannot take each other's."""

from __future__ import annotations

from collections.abc import Callable

_held: dict[str, float] = {"share": 1.0}  # of this process


def cap(gpus: float, set_fraction: Callable[[float], None] | None = None) -> None:
    """Hold this process to its share of the memory of its GPU: beyond that, torch raises OutOfMemoryError.

    Args:
        gpus: that the process was given; a share of one GPU if below 1. Without a GPU nothing happens.
        set_fraction: tells the device; by default torch, for the current device.
    """
    if gpus <= 0:
        return
    share = min(1.0, gpus)
    if share < 1 or _held["share"] < 1:  # a process that is reused may get more than before
        (set_fraction or _torch)(share)
    _held["share"] = share


def _torch(share: float) -> None:
    import torch

    if torch.cuda.is_available():  # else the trainable says that it is missing
        torch.cuda.set_per_process_memory_fraction(share)


def held() -> float:
    """The share that this process is held to; 1 if to none."""
    return _held["share"]

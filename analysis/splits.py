"""What the name of a metric says: which split it is of, and which quantity it is. Light, for the sweep language."""

from __future__ import annotations

import re

_SPLITS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(
    ("validation", "valid", "val", "dev"), "validation"
)


def split(metric: str) -> str:
    """Which split a metric is of, by its name (``accuracy/test``, ``val_loss``); an empty text if it does not say."""
    return next((_SPLITS[part] for part in reversed(_parts(metric)) if part in _SPLITS), "")


def quantity(metric: str) -> tuple[str, ...]:
    """The metric without its split, so that ``accuracy/validation`` and ``accuracy/test`` are the same."""
    return tuple(part for part in _parts(metric) if part not in _SPLITS)


def _parts(metric: str) -> list[str]:
    return re.split(r"[/_.\- ]", metric.lower())

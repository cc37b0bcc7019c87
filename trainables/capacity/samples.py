"""What networks are asked to fit: nested samples of a data set, with its own labels, random ones, or a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int

from trainables.data import Examples
from trainables.seeding import stream_seed
from trainables.training.examples import StackedPart, place
from trainables.training.partition import Part, moments


def pool(examples: Examples, test_fraction: float, random_labels: float, seed: int) -> dict[str, Part]:
    """All that may be fitted, in the random order of ``seed``, and the test part, which is the same for all seeds.

    Inputs that occur twice are left out once: with two labels nobody could fit them.
    """
    test = _test_rows(examples, test_fraction)
    kept = np.setdiff1d(_distinct(examples), test)
    rows = np.random.default_rng(stream_seed(seed, "sample")).permutation(kept)
    labels = _relabelled(examples.labels[rows], random_labels, len(examples.classes), seed)
    shift_scale = moments(examples.inputs[kept])
    parts = {"train": Part(rows, labels, *shift_scale)}
    return parts | ({"test": Part(test, examples.labels[test], *shift_scale)} if len(test) else {})


def stacked(pools: Sequence[dict[str, Part]], examples: Examples, device: str) -> dict[str, StackedPart]:
    """The pools of all members, on the device."""
    return place(examples, pools, device)


def first(parts: dict[str, StackedPart], places: Sequence[int], size: int) -> dict[str, StackedPart]:
    """Of some members, the first examples of the pool, and all of the test part."""
    at = torch.tensor(places, device=parts["train"].rows.device)
    own = {name: part.keep(at) for name, part in parts.items()}
    train = own["train"]
    return own | {"train": replace(train, rows=train.rows[:, :size], labels=train.labels[:, :size])}


def _test_rows(examples: Examples, fraction: float) -> Int[np.ndarray, " rows"]:
    if "test" in examples.given:
        return examples.given["test"]
    rng = np.random.default_rng(stream_seed(0, "split"))
    return np.sort(rng.permutation(len(examples.labels))[: round(fraction * len(examples.labels))])


def _distinct(examples: Examples) -> Int[np.ndarray, " rows"]:
    seen = {row.tobytes(): number for number, row in reversed(list(enumerate(examples.inputs)))}
    return np.array(sorted(seen.values()))


def _relabelled(labels: np.ndarray, fraction: float, num_classes: int, seed: int) -> Int[np.ndarray, " examples"]:
    """A fraction of the labels drawn anew, evenly from all classes, the old one among them."""
    rng = np.random.default_rng(stream_seed(seed, "labels"))
    chosen = rng.permutation(len(labels))[: round(fraction * len(labels))]
    made = labels.copy()
    made[chosen] = rng.integers(num_classes, size=len(chosen))
    return made

"""Train, validation and test parts of a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from trainables.data import Examples, Split
from trainables.seeding import Streams, stream_seed

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the examples, and what their inputs are shifted by and then divided by."""

    rows: Int[np.ndarray, " examples"]
    labels: Int[np.ndarray, " examples"]
    shift: Float[np.ndarray, ...]
    scale: Float[np.ndarray, ...]

    def inputs(self, examples: Examples) -> Float[np.ndarray, "examples ..."]:
        return (examples.inputs[self.rows] - self.shift) / self.scale


@lru_cache(maxsize=16)
def of_seed(examples: Examples, split: Split, seed: int) -> dict[str, Part]:
    """The parts of a trial with this seed, kept for others that differ in something else."""
    return partition(examples, split, Streams(seed).numpy("data"))


def partition(examples: Examples, split: Split, rng: np.random.Generator) -> dict[str, Part]:
    """The parts, to be scaled by the statistics of the training part; ``rng`` is the trial's own."""
    rows = part_rows(examples, split, rng)
    shift_scale = moments(examples.inputs[rows["train"]]) if split.standardise else _no_moments(examples)
    parts = {name: Part(at, examples.labels[at], *shift_scale) for name, at in rows.items()}
    noisy = corrupt(parts["train"].labels, split.label_noise, len(examples.classes), rng)
    return parts | {"train": replace(parts["train"], labels=noisy)}


def part_rows(examples: Examples, split: Split, rng: np.random.Generator) -> dict[str, Int[np.ndarray, " rows"]]:
    """Which examples each part holds. Their numbers depend on the data and ``split`` only, not on ``rng``."""
    labels, given = examples.labels, examples.given
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([np.empty(0, int), *given.values()]))
    fixed = np.random.default_rng(stream_seed(split.seed, "split"))
    test = given.get("test", _draw(labels, rest, split.test_fraction, fixed))
    rest = np.setdiff1d(rest, test)
    validation = given.get("validation", _draw(labels, rest, split.validation_fraction, rng))
    rows = {"train": np.setdiff1d(rest, validation), "validation": validation, "test": test}
    for name, at in rows.items():
        if not len(at):
            raise ValueError(f"split: no example is left for the {name} part, of {len(labels)}; change the fractions")
    return rows


def _draw(
    labels: Int[np.ndarray, " examples"], rows: Int[np.ndarray, " rows"], fraction: float, rng: np.random.Generator
) -> Int[np.ndarray, " drawn"]:
    """The same fraction of every class, to the nearest whole number."""
    classes = [rng.permutation(rows[labels[rows] == c]) for c in np.unique(labels[rows])]
    drawn = [members[: round(fraction * len(members))] for members in classes]
    return np.sort(np.concatenate([np.empty(0, int), *drawn]))


def corrupt(
    labels: Int[np.ndarray, " examples"], fraction: float, num_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " examples"]:
    """Replace exactly this fraction of the labels (to the nearest whole number) by another class, drawn evenly."""
    rows = rng.permutation(len(labels))[: round(fraction * len(labels))]
    noisy = labels.copy()
    noisy[rows] = (labels[rows] + rng.integers(1, num_classes, size=len(rows))) % num_classes
    return noisy


def moments(inputs: Float[np.ndarray, "examples ..."]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, or of each channel of images; 1 where nothing varies."""
    axes = (0, 2, 3) if inputs.ndim == 4 else (0,)
    mean = inputs.mean(axes, dtype=np.float64, keepdims=True)[0]
    deviation = inputs.std(axes, dtype=np.float64, keepdims=True)[0]
    varies = deviation > 1e-7 * abs(mean)  # more than the rounding of float32
    return mean.astype(np.float32), np.where(varies, deviation, 1).astype(np.float32)


def _no_moments(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    shape = (1,) * len(examples.shape)
    return np.zeros(shape, np.float32), np.ones(shape, np.float32)

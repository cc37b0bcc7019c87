"""Data sets and generators, one file each: ``data: {name: two_moons, noise: 0.1}`` picks ``two_moons.py``.

A component module has a ``Config`` that satisfies ``DataConfig``. It imports nothing heavy at its top, so that
checking a sweep stays quick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

from annotated_types import Gt, Lt

from trainables.api import Fraction, NonNegativeInt, PerMember

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Examples:
    """A labelled data set as it was read, not yet split or scaled. Images are in [0, 1], unless they are mere noise."""

    inputs: Float[np.ndarray, "examples ..."]
    labels: Int[np.ndarray, " examples"]
    classes: tuple[str, ...]
    given: Mapping[str, Int[np.ndarray, " rows"]] = field(default_factory=dict)
    """Rows that the data set itself sets apart as ``validation`` or ``test``."""

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"data: got {len(self.classes)} class, expected at least 2")
        for array in (self.inputs, self.labels):
            array.setflags(write=False)  # trials of one process share them

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input: ``(features,)`` or ``(channels, height, width)``."""
        return self.inputs.shape[1:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the arrays, their shapes and the given split."""
        import numpy as np

        digest = hashlib.sha256()
        for name, array in (("inputs", self.inputs), ("labels", self.labels), *sorted(self.given.items())):
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class DataConfig(Protocol):
    """What a data component's ``Config`` can do."""

    def load(self) -> Examples:
        """Read or make the examples: always the same ones for the same config."""
        ...


@runtime_checkable
class Slow(DataConfig, Protocol):
    """One that takes long to read, so that it is read once on a machine (see ``shelf.py``)."""

    def version(self) -> str:
        """Another text whenever ``load`` might read something else; found without reading the data."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """How examples are divided into train, validation and test parts, each class by the same fractions."""

    seed: NonNegativeInt = 0
    """Draws the test part. It does not depend on the seed of the trial, so that tuning never sees a test example."""
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Of all examples, unless the data set comes with a test part of its own."""
    validation_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Of the examples outside the test part; drawn anew for every seed of a trial."""
    label_noise: PerMember[Fraction] = 0.0
    """Fraction of the training labels that are replaced by another class, drawn evenly."""
    standardise: bool = True
    """Shift and scale each feature (each channel of images) to mean 0 and deviation 1 over the training part."""


@lru_cache(maxsize=2)
def load(config: DataConfig) -> Examples:
    """The examples of ``config``, kept for the next trial of this process."""
    if not isinstance(config, Slow):
        return config.load()
    from trainables.data import shelf

    return shelf.shared(config)

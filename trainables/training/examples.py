"""The examples that a cohort trains on: the data lie on the device once, and each member has its own rows of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from trainables.data import Examples
from trainables.training.partition import Part

_MOST_SCALED_BYTES = 2**28  # of scaled copies of the data; beyond, each batch is scaled when it is drawn


@dataclass(frozen=True, eq=False)
class Batch:
    """What the members train on in one step.

    ``size`` and ``places``, those of the examples in the training part, are of the whole batch. A worker may have only
    a part of its rows, from ``first_row`` on.
    """

    inputs: Float[Tensor, "members rows ..."]
    labels: Int[Tensor, "members rows"]
    places: Int[Tensor, "members size"]
    first_row: int

    @property
    def size(self) -> int:
        return self.places.shape[1]

    @property
    def rows(self) -> slice:
        """Where its rows are in the whole batch."""
        return slice(self.first_row, self.first_row + self.labels.shape[1])


@dataclass(frozen=True, eq=False)
class StackedPart:
    """A part of a data set, such as the training part, as each member sees it."""

    inputs: Float[Tensor, "all ..."]
    rows: Int[Tensor, "members examples"]
    labels: Int[Tensor, "members examples"]
    num_classes: int
    shift: Float[Tensor, "members ..."] | None = None  # None: the inputs are scaled already
    scale: Float[Tensor, "members ..."] | None = None

    @property
    def count(self) -> int:
        return self.rows.shape[1]

    def batches(
        self, order: Int[Tensor, "members examples"], size: int, mine: Callable[[int], slice]
    ) -> Iterator[Batch]:
        """The examples in the order of each member; ``mine`` picks what this worker takes of so many rows."""
        rows, labels = self.rows.gather(1, order), self.labels.gather(1, order)
        for some, *own in zip(order.split(size, 1), rows.split(size, 1), labels.split(size, 1), strict=True):
            taken = mine(some.shape[1])
            some_rows, some_labels = (part[:, taken] for part in own)
            yield Batch(self._scaled(some_rows), some_labels, some, taken.start)

    def chunk(self, start: int, stop: int) -> Float[Tensor, "members chunk ..."]:
        """The inputs of a range of places."""
        return self._scaled(self.rows[:, start:stop])

    def _scaled(self, rows: Int[Tensor, "members batch"]) -> Float[Tensor, "members batch ..."]:
        inputs = self._picked(rows)
        if self.shift is None or self.scale is None:
            return inputs
        return (inputs - self.shift[:, None]) / self.scale[:, None]

    def _picked(self, rows: Int[Tensor, "members batch"]) -> Float[Tensor, "members batch ..."]:
        if len(rows) == 1:
            return self.inputs[rows]
        return self.inputs.index_select(0, rows.flatten()).unflatten(0, rows.shape)  # which copies whole examples

    def keep(self, places: Shaped[Tensor, " kept"]) -> StackedPart:
        """The same without the members at other places."""
        own = {name: getattr(self, name) for name in ("rows", "labels", "shift", "scale")}
        return replace(self, **{name: tensor[places] for name, tensor in own.items() if tensor is not None})


def place(examples: Examples, parts: Sequence[Mapping[str, Part]], device: str) -> dict[str, StackedPart]:
    """Put the data and the parts of each member on the device.

    Members that scale their inputs alike share a scaled copy of the data, unless the copies would be large.
    """
    scales = [(part["train"].shift, part["train"].scale) for part in parts]
    distinct = {shift.tobytes() + scale.tobytes(): (shift, scale) for shift, scale in scales}
    if len(distinct) * examples.inputs.nbytes > _MOST_SCALED_BYTES:
        return _placed(examples.inputs, parts, np.zeros(len(parts), int), len(examples.classes), device, scale=True)
    copies = np.concatenate([(examples.inputs - shift) / scale for shift, scale in distinct.values()])
    number = {key: n for n, key in enumerate(distinct)}
    first = np.array([number[shift.tobytes() + scale.tobytes()] for shift, scale in scales]) * len(examples.inputs)
    return _placed(copies, parts, first, len(examples.classes), device, scale=False)


def _placed(
    inputs: np.ndarray,
    parts: Sequence[Mapping[str, Part]],
    first: np.ndarray,
    classes: int,
    device: str,
    *,
    scale: bool,
) -> dict[str, StackedPart]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the array may be read-only, and nobody writes to it
        whole = torch.from_numpy(inputs).to(device)

    def stacked(name: str, field: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(part[name], field) for part in parts])).to(device)

    def part(name: str) -> StackedPart:
        rows = stacked(name, "rows") + torch.from_numpy(first).to(device)[:, None]
        moments = {field: stacked(name, field) for field in ("shift", "scale")} if scale else {}
        return StackedPart(whole, rows, stacked(name, "labels"), classes, **moments)

    return {name: part(name) for name in parts[0]}

"""Any data set of the Hugging Face hub, or one on disk, read through the package ``datasets``.

``path`` is a name of the hub (``mnist``, ``owner/name``), a folder written by ``save_to_disk``, or anything else that
``datasets.load_dataset`` takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import MinLen

from trainables.api import PositiveInt
from trainables.data import Examples
from trainables.data.files import state_of
from trainables.data.pixels import stack

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    path: str
    """Name on the hub, or a folder."""
    subset: str | None = None
    """Which configuration of a data set that has several."""
    revision: str | None = None
    """Commit, tag or branch on the hub. Give a commit, so that the data cannot change under you."""
    inputs: Annotated[tuple[str, ...], MinLen(1)] = ("image",)
    """The input columns: one of images or of vectors of numbers, or several of numbers, put side by side."""
    label: str = "label"
    """The column of the class: class labels, whole numbers or text."""
    train: str = "train"
    """Name of the split that is trained on."""
    validation: str = "validation"
    """Name of the validation split. If the data set has no ``validation``, a part of ``train`` is drawn."""
    test: str = "test"
    """Name of the test split. If the data set has no ``test``, a part of ``train`` is drawn."""
    size: PositiveInt | None = None
    """Scale every image to this height and width in pixels. Without it, all have to be of one size."""
    greyscale: bool = False
    """Read one channel of images instead of red, green and blue."""

    def load(self) -> Examples:
        import numpy as np

        splits = self._splits()
        starts = np.cumsum([0, *(len(split) for split in splits.values())])
        rows = {key: np.arange(*starts[i : i + 2]) for i, key in enumerate(splits)}
        inputs = np.concatenate([self._inputs(split) for split in splits.values()])
        labels, classes = self._labels(splits)
        return Examples(inputs, labels, classes, {key: rows[key] for key in rows if key != "train"})

    def version(self) -> str:
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            return state_of(path for path in sorted(folder.rglob("*")) if path.is_file())
        if self.revision and re.fullmatch(r"[0-9a-f]{40}", self.revision):
            return self.revision
        return " ".join(f"{name} {split._fingerprint}" for name, split in self._splits().items())

    def _splits(self) -> dict[str, Any]:
        """The splits that are there, by what they are for."""
        found = self._read()
        splits = found if isinstance(found, Mapping) else {self.train: found}
        wanted = {"train": self.train, "validation": self.validation, "test": self.test}
        for name in wanted.values():
            if name not in splits and name not in ("validation", "test"):
                raise ValueError(f"data huggingface: {self.path}: no split {name!r}; it has {', '.join(splits)}")
        return {key: splits[name] for key, name in wanted.items() if name in splits}

    def _read(self) -> Any:
        try:
            import datasets
        except ImportError:
            raise ValueError("data huggingface: needs the package `datasets`: pip install 'assay[hub]'") from None
        folder = Path(self.path).expanduser()
        if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
            return datasets.load_from_disk(folder)
        return datasets.load_dataset(self.path, self.subset, revision=self.revision)

    def _column(self, split: Any, name: str) -> list[Any]:
        if name not in split.column_names:
            known = ", ".join(split.column_names)
            raise ValueError(f"data huggingface: {self.path}: no column {name!r}; it has {known}")
        return split[name]

    def _inputs(self, split: Any) -> np.ndarray:
        import numpy as np

        columns = [self._column(split, name) for name in self.inputs]
        if len(columns) == 1 and hasattr(columns[0][0], "convert"):
            places = (f"{self.path}: {self.inputs[0]} {row}" for row in range(len(split)))
            return stack(zip(places, columns[0], strict=True), self.size, self.greyscale)
        try:
            arrays = [np.asarray(column[:], dtype=np.float32).reshape(len(split), -1) for column in columns]
        except (TypeError, ValueError):
            place = f"data huggingface: {self.path}: {', '.join(self.inputs)}"
            raise ValueError(f"{place}: expected images, or numbers of one shape") from None
        return np.concatenate(arrays, axis=1)

    def _labels(self, splits: Mapping[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
        import numpy as np

        values = np.concatenate([np.asarray(self._column(split, self.label)[:]) for split in splits.values()])
        names = getattr(splits["train"].features[self.label], "names", None)
        if values.ndim != 1 or values.dtype.kind not in "biuUO" or (names and values.min() < 0):
            raise ValueError(f"data huggingface: {self.path}: {self.label}: expected one class for each example")
        if names:
            return values.astype("int64"), tuple(names)
        classes, labels = np.unique(values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True)
        return labels.astype("int64"), tuple(str(c) for c in classes)

"""Images of your own: one folder for each class, ``path/<class>/<image file>``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.api import PositiveInt
from trainables.data import Examples
from trainables.data.files import state_of
from trainables.data.pixels import stack

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    path: str
    """The folder that holds the folders of the classes."""
    size: PositiveInt | None = None
    """Scale every image to this height and width in pixels. Without it, all have to be of one size."""
    greyscale: bool = False
    """Read one channel instead of red, green and blue."""

    def load(self) -> Examples:
        import numpy as np

        files = self._files()
        labels = np.repeat(np.arange(len(files)), [len(found) for found in files.values()])
        pictures = (_open(file) for found in files.values() for file in found)
        return Examples(stack(pictures, self.size, self.greyscale), labels, tuple(files))

    def version(self) -> str:
        return state_of(file for found in self._files().values() for file in found)

    def _files(self) -> dict[str, list[Path]]:
        """The images of each class."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise ValueError(f"data image_folder: path: no such folder: {folder}")
        files = {d.name: sorted(_images(d)) for d in sorted(folder.iterdir()) if d.is_dir()}
        files = {name: found for name, found in files.items() if found}
        if not files:
            raise ValueError(f"data image_folder: {folder}: no images; expected <class>/<image>, {' '.join(SUFFIXES)}")
        return files


def _images(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _open(file: Path) -> tuple[str, Image]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            return str(file), image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file}: not a readable image: {error}") from None

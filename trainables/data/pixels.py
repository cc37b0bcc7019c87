"""Pictures as arrays, for the data sets that are made of image files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from PIL.Image import Image


def pixels(image: Image, size: int | None, greyscale: bool) -> Float[np.ndarray, "channels height width"]:
    """One picture in [0, 1], scaled to ``size`` x ``size`` if that is given."""
    import numpy as np
    from PIL.Image import Resampling

    image = image.convert("L" if greyscale else "RGB")
    image = image.resize((size, size), Resampling.BILINEAR) if size else image
    values = np.asarray(image, dtype=np.float32) / 255
    return values[None] if greyscale else values.transpose(2, 0, 1)


def stack(pictures: Iterable[tuple[str, Image]], size: int | None, greyscale: bool) -> np.ndarray:
    """All pictures, each with the place that it comes from; raises ValueError if their shapes differ."""
    import numpy as np

    return np.stack(list(_equal((where, pixels(image, size, greyscale)) for where, image in pictures)))


def _equal(arrays: Iterable[tuple[str, np.ndarray]]) -> Iterator[np.ndarray]:
    expected = None
    for where, array in arrays:
        expected = expected or array.shape
        if array.shape != expected:
            got, want = (f"{shape[2]} x {shape[1]} pixels" for shape in (array.shape, expected))
            raise ValueError(f"{where}: got {got}, expected {want} as in the first image; set `size` to scale them")
        yield array

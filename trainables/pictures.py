"""Figures and images as PNG files in memory."""

from __future__ import annotations

import io
import sys
from typing import Any


def png_of_figure(figure: Any) -> bytes:
    """Draw a matplotlib figure, and forget it if pyplot made it, for pyplot keeps all that it made."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(figure)
    return buffer.getvalue()


def png_of_pixels(pixels: Any) -> bytes:
    """Encode floats in [0, 1] or uint8, of shape (height, width[, 1 or 3]). Raises ValueError for anything else."""
    import numpy as np
    from PIL import Image

    array = np.asarray(pixels.detach().cpu() if hasattr(pixels, "detach") else pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        raise ValueError(f"image: got shape {array.shape}, expected (height, width), or (height, width, 1 or 3)")
    buffer = io.BytesIO()
    Image.fromarray(_bytes(array)).save(buffer, format="PNG")
    return buffer.getvalue()


def _bytes(array: Any) -> Any:
    import numpy as np

    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f":
        raise ValueError(f"image: got values of type {array.dtype}, expected floats in [0, 1] or uint8")
    if not (array.min() >= 0 and array.max() <= 1):  # also false for NaN
        raise ValueError(f"image: got values from {array.min()} to {array.max()}, expected floats in [0, 1]")
    return np.ascontiguousarray((array * 255).round().astype(np.uint8))

"""Images as sequences of square patches."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Patches(nn.Module):
    """Cuts images into patches, row by row; a patch is the vector of its channels and pixels."""

    def __init__(self, channels: int, rows: int, columns: int, side: int) -> None:
        super().__init__()
        self.rows, self.columns, self.side = rows, columns, side
        self.count, self.size = rows * columns, channels * side**2

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int, model: str) -> Patches:
        """For inputs of this shape.

        Raises:
            ValueError: they are no images, or ``side`` does not divide theirs.
        """
        if len(shape) != 3:
            expected = "images (channels, height, width)"
            raise ValueError(f"model {model}: got inputs of shape {shape}, expected {expected}; `mlp` takes any shape")
        if shape[1] % side or shape[2] % side:
            expected = f"a patch that divides the {shape[1]} x {shape[2]} pixels of the images"
            raise ValueError(f"model {model}: got patch {side}, expected {expected}")
        return cls(shape[0], shape[1] // side, shape[2] // side, side)

    def forward(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch count size"]:
        cut = images.unflatten(-1, (self.columns, self.side)).unflatten(-3, (self.rows, self.side))
        return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

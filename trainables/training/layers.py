"""Parts of models that draw random numbers, each from a stream of the trial and never from torch's global one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Noise:
    """Random draws for a batch that several workers share.

    Every worker draws for the whole batch and keeps its own rows. So the draws do not depend on the number of workers,
    and the state of one worker's stream is that of all.
    """

    def __init__(self, stream: torch.Generator) -> None:
        self.stream = stream
        self.batch = 0
        self.rows = slice(0, 0)

    def share(self, batch: int, rows: slice) -> None:
        """From now on a batch has this many rows in all, and this worker holds ``rows`` of them."""
        self.batch, self.rows = batch, rows

    def uniform(self, like: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """Draws from [0, 1), one for each element of ``like``."""
        shape = (self.batch, *like.shape[1:])
        return torch.rand(shape, generator=self.stream, device=like.device, dtype=like.dtype)[self.rows]


class Dropout(nn.Module):
    """Zeroes each value with probability ``rate`` in training and scales the others by 1 / (1 - rate).

    Source: Srivastava et al., 2014, JMLR 15, sec. 10 (the form that scales in training).
    """

    def __init__(self, rate: float, noise: Noise) -> None:
        super().__init__()
        self.rate = rate
        self.noise = noise

    def forward(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        if not self.training or self.rate == 0:
            return values
        return values * (self.noise.uniform(values) >= self.rate) / (1 - self.rate)


def initialised(
    build: Callable[[], nn.Sequential], stream: torch.Generator, nonlinearity: str = "relu"
) -> nn.Sequential:
    """Build a model and draw its weights from ``stream``.

    Weights are normal with variance gain^2 / fan-in (He et al., 2015, arXiv:1502.01852, eq. 10), the last layer's with
    gain 1; biases are zero.
    """
    with torch.device("meta"):  # where building a layer draws nothing
        model = build()
    model.to_empty(device="cpu")
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in weighted:
        gain = "linear" if layer is weighted[-1] else nonlinearity
        nn.init.kaiming_normal_(layer.weight, nonlinearity=gain, generator=stream)  # pyright: ignore[reportArgumentType]
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for layer in model.modules():
        if isinstance(layer, nn.GroupNorm | nn.LayerNorm):
            layer.reset_parameters()  # ones and zeros
    return model

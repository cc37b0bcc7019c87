"""Parts of models that draw random numbers, each from a stream of the trial and never from torch's global one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainables.training import draws


class Dropout(nn.Module):
    """Zeroes each value with probability ``rate`` in training and scales the others by 1 / (1 - rate).

    Its rate and its stream are buffers, so that the members of a cohort have each their own.
    Source: Srivastava et al., 2014, JMLR 15, sec. 10 (the form that scales in training).
    """

    rate: Float[Tensor, ""]
    key: Int[Tensor, ""]
    calls: Int[Tensor, ""]

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate, device="cpu"), persistent=False)
        self.register_buffer("key", torch.tensor(0, device="cpu"), persistent=False)
        self.register_buffer("calls", torch.tensor(0, device="cpu"))
        self.first_row = 0  # of this worker's share, in the batch that all workers share
        self.idle = rate == 0

    def forward(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        if not self.training or self.idle:
            return values
        first = self.first_row * values.shape[1:].numel()
        kept = draws.uniform(self.key, self.calls, values.shape, first) >= self.rate
        self.calls.add_(self.rate > 0)  # a member that drops nothing does not count, whether its cohort is idle or not
        return values * kept / (1 - self.rate)

    def settle(self, buffers: Mapping[str, Tensor]) -> bool:
        """Take the buffers of a whole cohort. If no member drops anything, nothing is drawn and they are not needed."""
        self.idle = not buffers["rate"].any()
        return not self.idle


def give_streams(network: nn.Module, seed: int) -> None:
    """Give each layer that draws random numbers a stream of its own, from the seed of the trial."""
    layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    for number, layer in enumerate(layers):
        layer.key = draws.key_of(seed, f"dropout/{number}")


def scale_weights(network: nn.Module, factor: float) -> None:
    """Multiply the weights of linear and convolutional layers."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data.mul_(factor)


def initialised(
    build: Callable[[], nn.Sequential], stream: torch.Generator, nonlinearity: str = "relu"
) -> nn.Sequential:
    """Build a model and draw its weights from ``stream``.

    Weights are normal with variance gain^2 / fan-in (He et al., 2015, arXiv:1502.01852, eq. 10), the last layer's with
    gain 1; biases are zero.
    """
    with torch.device("meta"):  # where building a layer draws nothing
        model = build()
    for layer in model.modules():
        if any(True for _ in layer.parameters(recurse=False)):
            layer.to_empty(device="cpu", recurse=False)
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in weighted:
        gain = "linear" if layer is weighted[-1] else nonlinearity
        nn.init.kaiming_normal_(layer.weight, nonlinearity=gain, generator=stream)  # pyright: ignore[reportArgumentType]
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for layer in model.modules():
        if isinstance(layer, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()  # ones and zeros
    return model

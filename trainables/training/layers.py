"""Parts of models, and how they are initialised.

What draws random numbers does so from a stream of the trial and never from torch's global one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] - there is no public way to see vmap

from trainables.training import draws

M = TypeVar("M", bound=nn.Module)


class Dropout(nn.Module):
    """Zeroes each value with probability ``rate`` in training and scales the others by 1 / (1 - rate).

    Its rate and its stream are buffers, so that the members of a cohort have each their own.
    Source: Srivastava et al., 2014, JMLR 15, sec. 10 (the form that scales in training).
    """

    stream = "dropout"
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
        shape = self._shape(values)
        kept = draws.uniform(self.key, self.calls, shape, self.first_row * math.prod(shape[1:])) >= self.rate
        self.calls.add_(self.rate > 0)  # a member that drops nothing does not count, whether its cohort is idle or not
        return values * kept / (1 - self.rate)

    def _shape(self, values: Tensor) -> tuple[int, ...]:
        """Of what is drawn, one number for what is kept or zeroed together."""
        return tuple(values.shape)

    def settle(self, buffers: Mapping[str, Tensor]) -> bool:
        """Take the buffers of a whole cohort. If no member drops anything, nothing is drawn and they are not needed."""
        self.idle = not buffers["rate"].any()
        return not self.idle


class StochasticDepth(Dropout):
    """Dropout of whole examples, at the end of a residual branch, so that they pass by it.

    Source: Huang et al., 2016, arXiv:1603.09382, sec. 3.  Differs: each example is dropped by itself, not a batch at a
    time, and the others are scaled in training instead of all at rest.
    """

    stream = "stochastic depth"

    def _shape(self, values: Tensor) -> tuple[int, ...]:
        return (len(values), *[1] * (values.ndim - 1))


def give_streams(network: nn.Module, seed: int) -> None:
    """Give each layer that draws random numbers a stream of its own, from the seed of the trial."""
    counts: Counter[str] = Counter()
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.key = draws.key_of(seed, f"{layer.stream}/{counts[layer.stream]}")
            counts[layer.stream] += 1


class Residual(nn.Module):
    """What goes in, through ``shortcut`` if there is one, plus what ``body`` makes of it.

    Source: He et al., 2016, arXiv:1512.03385, sec. 3.2.
    """

    def __init__(self, *body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = nn.Sequential(*body), shortcut or nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        return self.shortcut(values) + self.body(values)


class Linear(nn.Linear):
    """The layer of that name in `torch.nn`, which `initialised` gives its weights.

    Under ``vmap`` a batch of rows is multiplied from the left, so that the gradient of the weights comes out in the
    order in which they are kept: to turn it takes a twelfth of the training step of a small network.
    """

    def reset_parameters(self) -> None:
        """Nothing is drawn here."""

    def forward(self, input: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:  # noqa: A002 - as in torch
        if input.dim() != 2 or not _functorch.is_batchedtensor(self.weight):
            return super().forward(input)
        made = (self.weight @ input.mT).mT
        return made if self.bias is None else made + self.bias


class Fixed(nn.Module):
    """A linear map that is drawn once and never trained.

    ``drawn`` gives the matrix, of shape (outputs, inputs), from a stream and that shape.
    """

    weight: Float[Tensor, "outputs inputs"]

    def __init__(
        self, inputs: int, outputs: int, drawn: Callable[[torch.Generator, tuple[int, int]], Float[Tensor, ...]]
    ) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(outputs, inputs, device="cpu"))
        self._drawn = drawn

    def draw(self, stream: torch.Generator) -> None:
        self.weight.copy_(self._drawn(stream, (self.weight.shape[0], self.weight.shape[1])))

    def forward(self, values: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:
        return nn.functional.linear(values, self.weight)


class Square(nn.Module):
    """z^2 / sqrt(3), which keeps the mean square of a normal z."""

    def forward(self, values: Tensor) -> Tensor:
        return values.square() * 3**-0.5


class CReLU(nn.Module):
    """The positive parts of the values, and beside them those of the negated values: one of each pair has a gradient.

    Source: Shang et al., 2016, arXiv:1603.05201, sec. 2.2.
    """

    def forward(self, values: Float[Tensor, "*rows units"]) -> Float[Tensor, "*rows outputs"]:
        return torch.cat([values, -values], dim=-1).relu()


class _LoneRow:
    """Batch normalisation that takes one value per channel, or none, as at rest: they have no variance.

    The last batch of an epoch may be one row, and so may the share of a worker.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        assert isinstance(self, nn.BatchNorm1d | nn.BatchNorm2d)
        if not self.training or input.numel() > input.shape[1]:
            return super().forward(input)  # pyright: ignore[reportAttributeAccessIssue]
        return nn.functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class BatchNorm1d(_LoneRow, nn.BatchNorm1d):
    pass


class BatchNorm2d(_LoneRow, nn.BatchNorm2d):
    pass


def scale_weights(network: nn.Module, factor: float) -> None:
    """Multiply all matrices and kernels: everything but biases, and scales and shifts of normalisation."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(factor)


def initialised(build: Callable[[], M], stream: torch.Generator, nonlinearity: str = "relu") -> M:
    """Build a model and draw its weights from ``stream``.

    Weights are normal with variance gain^2 / fan-in (He et al., 2015, arXiv:1502.01852, eq. 10), the last layer's with
    gain 1; biases are zero. Layers that know better have a method ``draw(stream)``, which is called last.
    """
    with torch.device("meta"):  # where building a layer draws nothing
        model = build()
    for layer in model.modules():
        if any(True for _ in layer.parameters(recurse=False)):
            layer._apply(_unset, recurse=False)
    weighted = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in weighted:
        gain = "linear" if layer is weighted[-1] else nonlinearity
        nn.init.kaiming_normal_(layer.weight, nonlinearity=gain, generator=stream)  # pyright: ignore[reportArgumentType]
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for layer in model.modules():
        if isinstance(layer, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()  # ones and zeros
    with torch.no_grad():
        for layer in model.modules():
            getattr(layer, "draw", _nothing)(stream)
    return model


def _unset(tensor: Tensor) -> Tensor:
    """What ``to_empty`` makes, too, for which PyTorch first imports half a second of symbolic algebra."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")


def _nothing(stream: torch.Generator) -> None:
    """What layers without a ``draw`` of their own do."""

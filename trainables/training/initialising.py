"""Applies initialisations to the networks of a cohort, and what several of them are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trainables.seeding import stream_seed
from trainables.training import draws
from trainables.training.examples import StackedPart
from trainables.training.layers import Dropout
from trainables.training.losses import RememberingLossConfig
from trainables.training.recipe import Recipe


def initialise(
    networks: Sequence[nn.Module], configs: Sequence[Recipe], train: StackedPart, seeds: Sequence[int]
) -> None:
    """Change the weights of each network as its config says, on training examples of its own."""
    device = train.rows.device
    for place, (network, config, seed) in enumerate(zip(networks, configs, seeds, strict=True)):
        stream = torch.Generator().manual_seed(stream_seed(seed, "initialisation"))
        batches = _batches(train.keep(torch.tensor([place], device=device)), config.batch_size, seed)
        config.initialisation.apply(network.to(device), batches, _mean_loss(config.loss), stream)


def _batches(
    own: StackedPart, size: int, seed: int
) -> Iterator[tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]]:
    """Batches of one size; what is left over at the end of an epoch is left out."""
    key, device = draws.key_of(seed, "initialisation"), own.rows.device
    for epoch in count():
        order = draws.permutation(key.to(device), torch.tensor(epoch, device=device), own.count)
        for batch in own.batches(order[None], size, lambda rows: slice(0, rows)):
            if batch.size == min(size, own.count):
                yield batch.inputs[0], batch.labels[0]


def _mean_loss(loss: Any) -> Callable[[Tensor, Tensor], Float[Tensor, ""]]:
    """Of a batch, from logits and labels. A loss that remembers has nothing to remember yet."""
    if not isinstance(loss, RememberingLossConfig):
        return lambda logits, labels: loss.of(logits, labels).mean()
    return lambda logits, labels: loss.recall(logits, labels, loss.start(*logits.shape).to(logits))[0].mean()


@contextmanager
def at_start(network: nn.Module) -> Iterator[None]:
    """The network as in training, with the statistics of the batch, but without dropout and without leaving a trace."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.eval()
    try:
        yield
    finally:
        network.train()
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])


class Scaled:
    """A network some of whose parameters are multiplied by factors, one for each tensor. Its own are left alone."""

    def __init__(self, network: nn.Module, chosen: Callable[[Tensor], bool]) -> None:
        self._network = network
        self._rest = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}
        self.names = [name for name, parameter in self._rest.items() if chosen(parameter.detach())]
        self.begun = [self._rest[name].detach() for name in self.names]

    def tensors(self, factors: Float[Tensor, " chosen"]) -> dict[str, Tensor]:
        """All parameters by name; all of them have gradients."""
        pairs = zip(self.names, factors.unbind(), self.begun, strict=True)
        return self._rest | {name: factor * tensor for name, factor, tensor in pairs}

    def __call__(self, tensors: Mapping[str, Tensor], inputs: Float[Tensor, "batch ..."]) -> Tensor:
        """What the network makes of inputs with these parameters."""
        return functional_call(self._network, dict(tensors), (inputs,))

    @torch.no_grad()
    def keep(self, factors: Float[Tensor, " chosen"]) -> None:
        """Multiply the parameters of the network."""
        own = dict(self._network.named_parameters())
        for name, factor, tensor in zip(self.names, factors.unbind(), self.begun, strict=True):
            own[name].copy_(factor * tensor)

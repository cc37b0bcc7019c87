"""Layer-sequential unit variance: orthonormal weights, scaled until each layer puts out variance 1 on a batch.

Source: Mishkin and Matas, 2016, arXiv:1511.06422, algorithm 1.  Differs: biases are zero, so that one step per layer
reaches the variance and nothing is iterated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from trainables.training.initialisations import Batches, Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    orthonormal: bool = True
    """Draw the weights anew as orthonormal matrices, or only scale those of the model."""

    def apply(self, network: nn.Module, batches: Batches, loss: Loss, stream: Generator) -> None:  # noqa: ARG002
        import torch
        from torch import nn

        from trainables.training.initialising import at_start

        inputs, _ = next(batches)
        with at_start(network), torch.no_grad():
            for layer in [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]:
                if self.orthonormal:
                    layer.weight.copy_(nn.init.orthogonal_(torch.empty(layer.weight.shape), generator=stream))
                deviation = _output(network, layer, inputs).std()
                layer.weight.div_(deviation if deviation > 0 else 1)


def _output(network: nn.Module, layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer puts out when the network is given the inputs."""
    found: list[Tensor] = []

    def see(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)

    hook = layer.register_forward_hook(see)
    try:
        network(inputs)
    finally:
        hook.remove()
    return found[0]

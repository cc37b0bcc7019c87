"""The hidden layers of a network, and how they are changed on the way through it.

A network is a sequence of parts. Layer 0 is what goes into the first; a hidden layer is what goes into each further
part that has weights, so that a residual block counts once. Normalisations and positions come with the part before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from trainables.training.layers import Fixed
from trainables.training.sequences import Positions

Change = Callable[[int, Tensor], Tensor]
"""From the number of a layer and its values, ``(batch, ...)``, to other values of that shape."""

_BESIDE = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, Positions)


def num_layers(network: nn.Module) -> int:
    """How many there are, with the inputs. 0 if the network is no sequence of parts."""
    return len(list(_places(network)))


def through(network: nn.Module, inputs: Tensor, change: Change) -> Tensor:
    """What the network makes of the inputs if its layers are changed on the way. It is a sequence of parts."""
    assert isinstance(network, nn.Sequential)
    layers = {place: number for number, place in enumerate(_places(network))}
    for place, part in enumerate(network):
        inputs = part(change(layers[place], inputs) if place in layers else inputs)
    return inputs


def _places(network: nn.Module) -> Iterator[int]:
    """Of the part that each layer goes into."""
    if not isinstance(network, nn.Sequential):
        return
    weighted = (place for place, part in enumerate(network) if _has_weights(part))
    next(weighted, None)  # it goes with the inputs
    yield from (0, *weighted)


def _has_weights(part: nn.Module) -> bool:
    trained = any(True for _ in part.parameters()) and not isinstance(part, _BESIDE)
    return trained or isinstance(part, Fixed)

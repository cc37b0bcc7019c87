"""The hidden units of a perceptron: which are of use, how many directions they span, and how idle ones start afresh.

Everything is written for one member of a cohort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainables.training.layers import Dropout

Activities = tuple[Float[Tensor, "examples units"], ...]


def activities(network: nn.Module, inputs: Float[Tensor, "examples features"]) -> Activities:
    """What the units of each hidden layer put out. The network is a ``mlp`` without residuals."""
    found = []
    assert isinstance(network, nn.Sequential)
    for layer in network:
        inputs = layer(inputs)
        if isinstance(layer, Dropout):  # which ends each hidden layer
            found.append(inputs)
    return tuple(found)


def dead_share(found: Activities) -> Float[Tensor, ""]:
    """Share of the units that are 0 for all examples."""
    return torch.cat([(layer == 0).all(0).float() for layer in found]).mean()


def effective_rank(matrix: Float[Tensor, "examples units"]) -> Float[Tensor, ""]:
    """The exponential of the entropy of the singular values, as shares of their sum; 0 of a matrix of zeros.

    Source: Roy and Vetterli, 2007, "The effective rank: a measure of effective dimensionality", EUSIPCO, def. 1.
    """
    wide = matrix.double()
    values = torch.linalg.eigvalsh(wide.mT @ wide).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=1e-300)
    return torch.special.entr(shares).sum().exp() * (values.sum() > 0)


def idle_units(found: Activities, share: float | Tensor) -> tuple[Bool[Tensor, " units"], ...]:
    """The units whose mean size is at most this share of the mean over their layer. None if the share is 0.

    Source: Sokar et al., 2023, arXiv:2302.12902, def. 3.1.
    """
    sizes = (layer.abs().mean(0) for layer in found)
    return tuple((size <= share * size.mean()) & (torch.as_tensor(share) > 0) for size in sizes)


def recycled(
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    idle: Iterable[Bool[Tensor, " units"]],
    layers: Sequence[str],
) -> dict[str, Tensor]:
    """Idle units get fresh weights from below and none to above, so that they change nothing until they learn.

    ``layers`` are the names of the linear layers, from the first on.
    Source: Sokar et al., 2023, arXiv:2302.12902, alg. 1.
    """
    made = dict(weights)
    for own, above, chosen in zip(layers, layers[1:], idle, strict=False):
        made[f"{own}.weight"] = torch.where(chosen[:, None], fresh[f"{own}.weight"], made[f"{own}.weight"])
        made[f"{own}.bias"] = torch.where(chosen, fresh[f"{own}.bias"], made[f"{own}.bias"])
        made[f"{above}.weight"] = made[f"{above}.weight"].masked_fill(chosen[None], 0.0)
    return made

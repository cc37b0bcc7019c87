"""Continual backpropagation: in training, units of little use start afresh, now and then one of each hidden layer.

Source: Dohare et al., 2024, doi:10.1038/s41586-024-07711-7, alg. 1, with the use of a unit as in eq. 1 and, as in the
authors' code, without the bias of its running mean and with the mean of a replaced unit moved into the biases above.
Differs: at most one unit of a layer in a step; the optimizer's state stays. Everything is written for one member of a
cohort, whose hidden layers are of one width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.capacity.units import Activities, recycled
from trainables.training import draws

Standing = dict[str, Tensor]
"""``use`` and ``mean`` activity, running means over steps, and ``age`` in steps: (layers, units). ``credit``: the units
that are due, (layers,). ``step``."""

Number = float | Float[Tensor, ""]


def newcomers(layers: int, units: int) -> Standing:
    """The standing of the units of a network that begins."""
    own = {name: torch.zeros(layers, units) for name in ("use", "mean", "age")}
    return own | {"credit": torch.zeros(layers, dtype=torch.float64), "step": torch.zeros((), dtype=torch.int64)}


def judged(
    standing: Standing, found: Activities, weights: Mapping[str, Tensor], layers: Sequence[str], decay: Number
) -> Standing:
    """The standing after a step, on whose batch the units put out ``found``."""
    sizes, means = (torch.stack([f(layer).mean(0) for layer in found]) for f in (torch.abs, torch.clone))
    outgoing = torch.stack([weights[f"{above}.weight"].abs().sum(0) for above in layers[1:]])
    new = {"use": sizes * outgoing, "mean": means}
    averaged = {name: decay * standing[name] + (1 - decay) * value for name, value in new.items()}
    kept = {name: value.to(standing[name].dtype) for name, value in averaged.items()}
    return {**standing, **kept, "age": standing["age"] + 1, "step": standing["step"] + 1}


def chosen(
    standing: Standing, rate: Number, maturity: Number, decay: Number
) -> tuple[Bool[Tensor, "layers units"], Standing]:
    """The units that start afresh, of the mature ones those of least use, and what is known of all units then."""
    mature = standing["age"] > maturity
    credit = standing["credit"] + torch.as_tensor(rate, dtype=torch.float64) * mature.sum(1)
    use = torch.where(mature, standing["use"] / _seen(standing, decay), torch.inf)
    least = torch.arange(use.shape[1], device=use.device) == use.argmin(1, keepdim=True)
    taken = least & mature & (credit >= 1)[:, None]
    kept = {name: standing[name].masked_fill(taken, 0) for name in ("use", "mean", "age")}
    return taken, {**standing, **kept, "credit": credit - taken.any(1).double()}


def renewed(
    weights: Mapping[str, Tensor],
    taken: Bool[Tensor, "layers units"],
    means: Float[Tensor, "layers units"],
    fresh: Mapping[str, Tensor],
    layers: Sequence[str],
) -> dict[str, Tensor]:
    """Units get fresh weights from below and none to above, where biases stand in for what they put out on average."""
    made = dict(weights)
    for above, gone in zip(layers[1:], means * taken, strict=True):
        made[f"{above}.bias"] = made[f"{above}.bias"] + made[f"{above}.weight"] @ gone
    return recycled(made, fresh, taken.unbind(), layers)


def usual(standing: Standing, decay: Number) -> Float[Tensor, "layers units"]:
    """What each unit puts out on average."""
    return standing["mean"] / _seen(standing, decay)


def _seen(standing: Standing, decay: Number) -> Float[Tensor, "layers units"]:
    """The sum of the shares of a running mean that began with 0."""
    left = torch.as_tensor(decay, dtype=torch.float64) ** standing["age"].double()
    return (1 - left).clamp(min=1e-12).to(standing["use"].dtype)


def fresh_rows(
    key: draws.Key, step: Tensor, weights: Mapping[str, Tensor], layers: Sequence[str], gain: Number
) -> dict[str, Tensor]:
    """For each hidden layer a row of normal weights, of deviation ``gain`` over the root of their number; no biases."""
    made = {}
    for number, (own, _) in enumerate(pairwise(layers)):
        like = weights[f"{own}.weight"]
        row = draws.normal(draws.fold(key, number), step, (1, like.shape[1]))
        made[f"{own}.weight"] = (row * (gain / math.sqrt(like.shape[1]))).to(like.dtype)
        made[f"{own}.bias"] = torch.zeros_like(weights[f"{own}.bias"])
    return made

"""Shampoo: a full-matrix preconditioner for each side of each weight matrix.

Source: Gupta, Koren and Singer, 2018, arXiv:1802.09568, alg. 1, with momentum on the preconditioned gradient. Kernels
of convolutions count as matrices with a row per output channel; all that is no matrix is preconditioned element by
element, which is Adagrad. A step costs the cube of the sides of each matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import NonNegative, PerMember, Positive

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 0.1
    """Learning rate, at the peak of the schedule."""
    momentum: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.9
    epsilon: PerMember[Positive] = 1e-4
    """What each preconditioner starts with on its diagonal."""
    weight_decay: PerMember[NonNegative] = 0.0
    """Added to the gradient as ``weight_decay * parameter``, for all parameters."""

    def start(self, parameters: Row, layout: Layout) -> State:
        state = {"velocity": parameters.new_zeros(parameters.shape)}
        for name, part in layout.split(parameters).items():
            state |= {f"{side} {name}": self.epsilon * one for side, one in _units(part).items()}
        return state

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:
        parts, sums = [], {}
        for name, part in layout.split(gradient + self.weight_decay * parameters).items():
            added = {f"{side} {name}": state[f"{side} {name}"] + new for side, new in _squares(part).items()}
            parts.append(_preconditioned(part, *added.values()))
            sums |= added
        velocity = self.momentum * state["velocity"] + layout.join(parts)
        return parameters - self.lr * velocity, sums | {"velocity": velocity}


def _units(part: Tensor) -> dict[str, Tensor]:
    import torch

    if part.ndim < 2:
        return {"square": torch.ones_like(part)}
    sides = {"left": part.shape[0], "right": part[0].numel()}
    return {side: torch.eye(length, dtype=part.dtype, device=part.device) for side, length in sides.items()}


def _squares(part: Tensor) -> dict[str, Tensor]:
    if part.ndim < 2:
        return {"square": part**2}
    matrix = part.flatten(1)
    return {"left": matrix @ matrix.T, "right": matrix.T @ matrix}


def _preconditioned(part: Tensor, left: Tensor, right: Tensor | None = None) -> Tensor:
    if right is None:
        return part / left.sqrt()
    return (inverse_fourth_root(left) @ part.flatten(1) @ inverse_fourth_root(right)).view_as(part)


def inverse_fourth_root(matrix: Float[Tensor, "side side"]) -> Float[Tensor, "side side"]:
    """Of a symmetric matrix whose eigenvalues are above 0."""
    import torch

    values, vectors = torch.linalg.eigh(matrix)
    floor = torch.finfo(matrix.dtype).eps * values.amax()  # rounding may take the small ones below 0
    return (vectors * values.clamp(min=floor) ** -0.25) @ vectors.T

"""L-BFGS: steps along the gradient times an inverse Hessian that is made of the last few steps.

There is no line search, which would stop each member of a cohort at a place of its own; steps have the learning rate
and a longest length instead. It wants full batches, ``batch_size`` at least that of the training part: differences of
gradients of different batches say little about the curvature. Pairs without enough of it are left out.

Source: Nocedal, 1980, doi:10.1090/S0025-5718-1980-0572855-7; Nocedal and Wright, 2006, alg. 7.4 and eq. 7.20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.api import NonNegative, PerMember, Positive, PositiveInt

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.training.optimizers import Row, State
    from trainables.training.stacking import Layout

_LEAST_CURVATURE = 1e-6  # cosine of the angle between a step and the change of the gradient along it


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 1.0
    """Share of the quasi-Newton step that is taken, at the peak of the schedule. Before there is any history it is the
    learning rate of gradient descent."""
    history: PositiveInt = 10
    """Steps that are remembered, each with as many numbers as twice the parameters."""
    longest: PerMember[NonNegative] = 1.0
    """Longest step, over all parameters together; longer ones are shortened to it. 0: any."""
    weight_decay: PerMember[NonNegative] = 0.0
    """Added to the gradient as ``weight_decay * parameter``, for all parameters."""

    def start(self, parameters: Row, layout: Layout) -> State:  # noqa: ARG002
        rows = parameters.new_zeros(self.history, *parameters.shape)
        known = {"at": parameters, "force": parameters.new_zeros(parameters.shape)}
        return known | {"steps": rows, "changes": rows, "weights": rows[:, 0].double()}

    def update(self, gradient: Row, parameters: Row, state: State, layout: Layout) -> tuple[Row, State]:  # noqa: ARG002
        from trainables.training.arithmetic import plus

        force = plus(gradient, self.weight_decay, parameters)
        history = remembered(parameters - state["at"], force - state["force"], state)
        step = shortened(self.lr * newton(force.double(), history), self.longest)
        return (parameters - step).to(parameters.dtype), {"at": parameters, "force": force, **history}


def remembered(step: Row, change: Row, state: State) -> State:
    """``steps``, ``changes`` of the gradient along them, and ``weights``, one over the products of the two.

    The newest come first. A pair is left out whose product is too small. Places without a pair have the weight 0.
    """
    import torch

    product, lengths = step.double() @ change.double(), step.double().norm() * change.double().norm()
    taken = product > _LEAST_CURVATURE * lengths
    rows = {"steps": step, "changes": change, "weights": 1 / torch.where(taken, product, 1.0)}
    return {n: torch.where(taken, torch.cat([row[None], state[n][:-1]]), state[n]) for n, row in rows.items()}


def newton(force: Row, history: State) -> Row:
    """The inverse Hessian times the gradient, by two loops over the history. Without any it is the gradient."""
    import torch

    steps, changes, weights = (history[name].to(force.dtype) for name in ("steps", "changes", "weights"))
    shares = []
    for step, change, weight in zip(steps, changes, weights, strict=True):
        shares.append(weight * (step @ force))
        force = force - shares[-1] * change
    scale = weights[0] * changes[0].square().sum()  # 1 / gamma of eq. 7.20
    made = force / torch.where(scale > 0, scale, 1.0)
    for step, change, weight, share in reversed(list(zip(steps, changes, weights, shares, strict=True))):
        made = made + (share - weight * (change @ made)) * step
    return made


def shortened(step: Row, longest: float | Tensor) -> Row:
    """To this length, unless that is 0."""
    import torch

    norm, bound = step.norm(), torch.as_tensor(longest, dtype=step.dtype, device=step.device)
    return step * torch.where((bound > 0) & (norm > bound), bound / norm, 1.0)

"""MetaInit: norms of weights at which a step of gradient descent changes the gradient least.

Descends on the gradient quotient, the mean of |(g - H g) / (g + epsilon sign(g)) - 1| over the elements of the gradient
g, where H is the Hessian, by the signs of its derivatives with respect to the norms of the weight tensors.
Source: Dauphin and Schoenholz, 2019, "MetaInit: Initializing learning by learning to initialize", NeurIPS, sec. 3.
Differs: on training examples instead of noise, and a norm stays above a hundredth of what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from trainables.api import PerMember, Positive, PositiveInt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Generator, Tensor, nn

    from trainables.training.initialisations import Batches, Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    steps: PositiveInt = 100
    """Steps on the norms, each on one batch."""
    lr: PerMember[Positive] = 0.1
    """What a step changes a norm by, without momentum."""
    momentum: PerMember[Annotated[float, Ge(0), Lt(1)]] = 0.9
    epsilon: PerMember[Positive] = 1e-5
    """Added to the size of the gradient that is divided by."""

    def apply(self, network: nn.Module, batches: Batches, loss: Loss, stream: Generator) -> None:  # noqa: ARG002
        import torch

        from trainables.training.initialising import Scaled, at_start

        scaled = Scaled(network, lambda weight: weight.ndim > 1)
        norms = torch.stack([weight.norm() for weight in scaled.begun])
        factors, velocity = torch.ones_like(norms), torch.zeros_like(norms)
        with at_start(network):
            for _ in range(self.steps):
                factors.requires_grad_()
                weights = scaled.tensors(factors)
                inputs, labels = next(batches)
                value = loss(scaled(weights, inputs), labels)
                quotient = gradient_quotient(value, [weights[name] for name in scaled.names], self.epsilon)
                (slope,) = torch.autograd.grad(quotient, factors)
                velocity = self.momentum * velocity - self.lr * slope.sign()
                factors = (factors.detach() + velocity / norms).clamp(min=0.01)
        scaled.keep(factors)


def gradient_quotient(loss: Float[Tensor, ""], weights: Sequence[Tensor], epsilon: float) -> Float[Tensor, ""]:
    """How much a step along the gradient changes the gradient; 0 where the loss is linear. It has gradients itself."""
    import torch

    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    half = sum((g.square().sum() / 2 for g in gradients), start=loss.new_zeros(()))
    products = torch.autograd.grad(half, weights, create_graph=True)  # H g
    g, changed = torch.cat([g.flatten() for g in gradients]), torch.cat([h.flatten() for h in products])
    sign = torch.where(g.detach() >= 0, 1.0, -1.0)
    return ((g - changed) / (g + epsilon * sign) - 1).abs().mean()

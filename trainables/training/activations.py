"""Activations by name, and what they do to the scale of a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "crelu", "gelu", "silu", "elu", "tanh", "sigmoid", "identity"]


def activation_layer(name: Activation) -> nn.Module:
    from torch import nn

    from trainables.training.layers import CReLU

    layers = {
        "relu": nn.ReLU,
        "crelu": CReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "elu": nn.ELU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "identity": nn.Identity,
    }
    return layers[name]()


def gain_of(name: Activation) -> str:
    """The name by which ``torch.nn.init.calculate_gain`` knows it; smooth relatives of ReLU count as ReLU."""
    return {"tanh": "tanh", "sigmoid": "sigmoid", "identity": "linear"}.get(name, "relu")


def gain(name: Activation) -> float:
    """What the deviation of initial weights is multiplied by, over the root of the inputs."""
    from torch import nn

    return nn.init.calculate_gain(gain_of(name))  # pyright: ignore[reportArgumentType]


def outputs_of(name: Activation) -> int:
    """How many numbers it makes of one."""
    return 2 if name == "crelu" else 1

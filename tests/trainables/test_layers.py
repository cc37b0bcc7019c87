"""Layers that are quicker in a cohort do what those of PyTorch do."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from trainables.training import layers


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 3), (7, 4, 3), (3,)])
def test_linear_layers_of_a_cohort_are_those_of_torch(bias, shape):
    layer, torchs = layers.Linear(3, 5, bias=bias), nn.Linear(3, 5, bias=bias)
    inputs = torch.randn(4, *shape)
    weights = {name: torch.randn(4, *weight.shape) for name, weight in torchs.named_parameters()}

    def squares(network):
        return lambda given, x: functional_call(network, given, (x,)).square().sum()

    found, expected = (vmap(grad_and_value(squares(network)))(weights, inputs) for network in (layer, torchs))
    torch.testing.assert_close(found, expected)


def test_gradients_of_linear_layers_of_a_cohort_need_no_turning():
    layer, weights = layers.Linear(3, 5, bias=False), torch.randn(4, 5, 3, requires_grad=True)
    made = vmap(lambda weight, x: functional_call(layer, {"weight": weight}, (x,)))(weights, torch.randn(4, 7, 3))
    (gradient,) = torch.autograd.grad(made.square().sum(), weights)
    assert gradient.is_contiguous()

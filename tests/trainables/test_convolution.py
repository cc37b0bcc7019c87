"""The quick layers give what torch's give: alone, under vmap, and for their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from trainables.training import convolution as quick

LAYERS = [
    ("Conv2d", (3, 5, 3), {}),
    ("Conv2d", (1, 4, 3), {"padding": 1, "bias": False}),
    ("Conv2d", (3, 4, (2, 3)), {"stride": (2, 1), "padding": (1, 2)}),
    ("Conv2d", (4, 6, 3), {"groups": 2, "padding": "same"}),
    ("Conv2d", (2, 3, 3), {"dilation": 2}),
    ("Conv2d", (3, 4, 1), {"stride": (2, 3), "bias": False}),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "reflect"}),
    ("GroupNorm", (1, 6), {}),
    ("GroupNorm", (3, 6), {"eps": 0.1}),
    ("GroupNorm", (2, 6), {"affine": False}),
    ("MaxPool2d", (2,), {}),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}),
    ("MaxPool2d", (2,), {"ceil_mode": True}),
    ("AdaptiveAvgPool2d", (2,), {}),
    ("AdaptiveAvgPool2d", ((3, 7),), {}),
    ("AdaptiveAvgPool2d", ((None, 3),), {}),
    ("AdaptiveAvgPool2d", ((9, 7),), {}),
]
HEIGHT, WIDTH, BATCH, MEMBERS = 9, 7, 4, 3


@pytest.fixture(params=LAYERS, ids=lambda layer: "{}{}{}".format(*layer))
def pairs(request):
    """One pair of layers per member: torch's and the quick one, of equal weights."""
    name, arguments, options = request.param
    torch.manual_seed(0)
    theirs = [_shaken(getattr(nn, name)(*arguments, **options)) for _ in range(MEMBERS)]
    ours = [getattr(quick, name)(*arguments, **options) for _ in range(MEMBERS)]
    for a, b in zip(theirs, ours, strict=True):
        b.load_state_dict(a.state_dict())
    return theirs, ours


def _shaken(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def _images(layer, *front):
    channels = getattr(layer, "in_channels", getattr(layer, "num_channels", 2))
    return torch.randn(*front, channels, HEIGHT, WIDTH)


def _results(layer, images):
    """The output, and the gradients of a sum of it that no symmetry makes zero."""
    images = images.clone().requires_grad_()
    out = layer(images)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).sin().view_as(out)
    return out, torch.autograd.grad((out * weights).sum(), (images, *layer.parameters()))


def _stacked(layers, images, axis=0):
    """The same for several layers at once, with the members' images along ``axis``."""
    parameters = {k: v.detach().requires_grad_() for k, v in stack_module_state(layers)[0].items()}
    images = images.clone().requires_grad_()
    call = vmap(lambda p, x: functional_call(layers[0], p, (x,)), (0 if parameters else None, axis))
    out = call(parameters, images)
    weights = torch.linspace(-1, 1, out[0].numel(), dtype=out.dtype).sin().view_as(out[0])
    return out, torch.autograd.grad((out * weights).sum(), (images, *parameters.values()))


def _close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_alone(pairs):
    for theirs, ours in zip(*pairs, strict=True):
        images = _images(theirs, BATCH)
        _close(_results(ours, images), _results(theirs, images))


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_as_members(pairs, axis):
    theirs, ours = pairs
    images = _images(theirs[0], MEMBERS, BATCH)
    out, (gradient, *weights) = _stacked(ours, images.movedim(0, axis), axis)
    for k, layer in enumerate(theirs):
        expected_out, (expected_gradient, *expected) = _results(layer, images[k])
        _close(out[k], expected_out)
        _close(gradient.select(axis, k), expected_gradient)
        _close([w[k] for w in weights], expected)


@pytest.mark.parametrize("shared", ["images", "weights"])
def test_members_that_share(shared):
    layer = quick.Conv2d(3, 4, 3, padding=1)
    images, weight = torch.randn(MEMBERS, BATCH, 3, 6, 6), torch.randn(MEMBERS, 4, 3, 3, 3)
    x, w = (images[0], weight) if shared == "images" else (images, weight[0])
    dims = (None, 0) if shared == "images" else (0, None)
    out = vmap(lambda x, w: functional_call(layer, {"weight": w}, (x,)), dims)(x, w)
    for k in range(MEMBERS):
        mine = (x, w[k]) if shared == "images" else (x[k], w)
        _close(out[k], nn.functional.conv2d(*mine, layer.bias, padding=1))


def test_images_of_a_whole_model_stay_channels_last():
    seen = []
    layers = [quick.Conv2d(1, 4, 3), quick.GroupNorm(1, 4), nn.ReLU(), quick.MaxPool2d(2)]
    for layer in layers:
        layer.register_forward_hook(lambda *call: seen.append(call[-1]))
    nn.Sequential(*layers)(torch.randn(2, 1, 8, 8))
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in seen)


def test_float64_agrees_to_its_own_precision(pairs):
    theirs, ours = (layers[0].double() for layers in pairs)
    images = _images(theirs, BATCH).double()
    torch.testing.assert_close(_results(ours, images), _results(theirs, images), rtol=1e-12, atol=1e-12)


def _model(kit):
    torch.manual_seed(0)
    layers = [kit.Conv2d(1, 4, 3), kit.GroupNorm(1, 4), kit.MaxPool2d(2), nn.ReLU(), kit.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 3))


def _per_example(model):
    """The gradient of each example's loss: a gradient inside ``vmap``, where examples are no members."""

    def loss(parameters, image, label):
        return cross_entropy(functional_call(model, parameters, (image[None],)), label[None])

    images, labels = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(5) % 3
    return vmap(grad(loss), (None, 0, 0))(dict(model.named_parameters()), images, labels)


def test_a_gradient_inside_vmap():
    _close(_per_example(_model(quick)), _per_example(_model(nn)))


def test_vmap_inside_vmap():
    layer = quick.Conv2d(2, 3, 3)
    images, weights = torch.randn(2, 4, 5, 2, 6, 6), torch.randn(2, 3, 2, 3, 3)

    def one(x, w):
        return functional_call(layer, {"weight": w}, (x,))

    out = vmap(vmap(one, (0, None)))(images, weights)
    for i in range(2):
        for j in range(4):
            _close(out[i, j], nn.functional.conv2d(images[i, j], weights[i], layer.bias))


def test_one_image_without_a_batch_axis():
    ours, theirs = _model(quick)[:1], _model(nn)[:1]
    image = torch.randn(1, 8, 8)
    _close(ours(image), theirs(image))

"""Layers for images that are quick on a CPU, for one model and for many that `torch.func.vmap` trains as one.

They are the layers of `torch.nn` of the same names, with the same arguments, weights and results. Two things differ:

* Images are held channels last, for which PyTorch has vectorised kernels: its 2 x 2 max pooling is ten times quicker.
* Under ``vmap`` the members become further channels, ``(batch, member * channels, height, width)``, and a layer is one
  call of the kernel that it has anyhow, in as many groups as there are members. PyTorch's own rules for ``vmap`` split
  group normalisation into many passes over memory, and move the members to the front and back for every layer.

Neither applies on a GPU, under `torch.compile`, or inside several transforms of `torch.func`; there they are torch's.

Measured: forward and backward through `trainables.models.cnn`, 64 images of 8 x 8 pixels, milliseconds per member on
one core, pooling before ReLU (2026-11-21, 2 cores, busy with other work): one model with torch's layers 2.6, with these
1.8; 32 members under ``vmap`` with torch's layers 2.8, with these 1.4, of which the two convolutions take 0.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] - there is no public way to ask whether vmap is under way
from torch.nn import functional

Operation = Callable[[Tensor, Tensor | None, Tensor | None, int], Tensor]
"""From images, weight, bias and the number of members that lie side by side in their channels."""


class Conv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        if self.padding_mode != "zeros":
            return super().forward(input)
        return _apply(self._convolve, input, self.weight, self.bias)

    def _convolve(self, images: Tensor, weight: Tensor | None, bias: Tensor | None, members: int) -> Tensor:
        assert weight is not None
        groups, stride = self.groups * members, self.stride
        if self.kernel_size == (1, 1) and self.padding == (0, 0) and images.device.type == "cpu":
            # The same, as oneDNN's gradient of a 1 x 1 kernel with a stride writes past its memory (torch 2.13).
            images, stride = images[..., :: stride[0], :: stride[1]], (1, 1)
        return functional.conv2d(images, weight, bias, stride, self.padding, self.dilation, groups)


class GroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _apply(self._normalise, input, self.weight, self.bias)

    def _normalise(self, images: Tensor, weight: Tensor | None, bias: Tensor | None, members: int) -> Tensor:
        return functional.group_norm(images, self.num_groups * members, weight, bias, self.eps)


class MaxPool2d(nn.MaxPool2d):
    """Without ``return_indices``."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _apply(self._pool, input)

    def _pool(self, images: Tensor, *_: Any) -> Tensor:
        sides = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return functional.max_pool2d(images, *sides)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """Quick where the output size divides that of the images, which then is an average over equal windows."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return _apply(self._pool, input)

    def _pool(self, images: Tensor, *_: Any) -> Tensor:
        sides = self.output_size if isinstance(self.output_size, tuple) else (self.output_size, self.output_size)
        windows = [divmod(size, side or size) for size, side in zip(images.shape[-2:], sides, strict=True)]
        if any(rest for _, rest in windows):
            return super().forward(images)
        window = tuple(size for size, _ in windows)
        return images if window == (1, 1) else functional.avg_pool2d(images, window)


def _apply(operation: Operation, images: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    if images.dim() != 4 or images.device.type != "cpu" or torch.compiler.is_compiling():
        return operation(images, weight, bias, 1)
    transform = _functorch.peek_interpreter_stack()
    if transform is None:
        return operation(_channels_last(images), weight, bias, 1)
    vmap_alone = transform.key() == _functorch.TransformType.Vmap and transform.level() == 1
    if not vmap_alone or not (members := _members(images, weight, bias)):
        return operation(images, weight, bias, 1)
    wide = _channels_last(_in_front(images, members).movedim(0, 1).flatten(1, 2))
    weight, bias = (None if t is None else _in_front(t, members).flatten(0, 1) for t in (weight, bias))
    made = operation(wide, weight, bias, members).unflatten(1, (members, -1))
    return _functorch._add_batch_dim(made, 1, transform.level())


def _channels_last(images: Tensor) -> Tensor:
    if images.shape[1] == 1:  # fits either order; the stride of that axis, now 1, tells PyTorch which one is meant
        images = images.squeeze(1).unsqueeze(-1).movedim(-1, 1)
    return images.contiguous(memory_format=torch.channels_last)


def _members(*tensors: Tensor | None) -> int:
    """How many members ``vmap`` maps over, or 0 if none of these tensors has any."""
    stacked = (t for t in tensors if t is not None and _functorch.is_batchedtensor(t))
    return next((_functorch.get_unwrapped(t).shape[_functorch.maybe_get_bdim(t)] for t in stacked), 0)


def _in_front(tensor: Tensor, members: int) -> Tensor:
    """With the axis of the members first; what they share is repeated for each."""
    if _functorch.is_batchedtensor(tensor):
        return _functorch.get_unwrapped(tensor).movedim(_functorch.maybe_get_bdim(tensor), 0)
    return tensor.expand(members, *tensor.shape)

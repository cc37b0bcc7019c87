"""Networks of equal shape as one: parameters and buffers with a leading member axis.

All parameters of a member lie in one row of a matrix, so that an optimizer is a few operations on that matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import vmap

from trainables.training.compiling import Compiled

Network = Callable[..., Tensor]
"""One member's network, inside a function that is written for one member."""

Tensors = Mapping[str, Shaped[Tensor, "..."]]


def each(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of one member for all of them.

    Every tensor in the arguments and the results, which are tensors and dicts and tuples of them, leads with the
    member axis. One member alone is called as it is: ``vmap`` would double the time of a small network.
    """
    if _num_members(arguments) == 1:
        return _map(function(*_map(arguments, lambda t: t[0])), lambda t: t[None])
    return vmap(function)(*arguments)


def _map(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: _map(item, function) for key, item in tree.items()}
    return tuple(_map(item, function) for item in tree)


def _num_members(tree: Any) -> int:
    """The length of the first tensor, 0 if there is none."""
    if isinstance(tree, Tensor):
        return len(tree)
    return next(filter(None, map(_num_members, tree.values() if isinstance(tree, dict) else tree)), 0)


class Layout:
    """Where each parameter lies in the row of a member."""

    def __init__(self, network: nn.Module) -> None:
        self.shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
        self._sizes = [shape.numel() for shape in self.shapes.values()]

    def split(self, row: Float[Tensor, "*members parameters"]) -> dict[str, Tensor]:
        """The parameters by name, as views."""
        pairs = zip(self.shapes.items(), row.split(self._sizes, dim=-1), strict=True)
        return {name: part.view(*row.shape[:-1], *shape) for (name, shape), part in pairs}

    def join(self, tensors: Sequence[Tensor]) -> Float[Tensor, "*members parameters"]:
        """The row of parameters that are given in the order of the layout."""
        first, shape = tensors[0], next(iter(self.shapes.values()))
        members = first.shape[: first.ndim - len(shape)]
        if not members:
            return torch.cat([tensor.reshape(-1) for tensor in tensors])
        row = first.new_empty((*members, sum(self._sizes)))  # quicker than ``cat`` where strides are odd
        for place, tensor in zip(self.split(row).values(), tensors, strict=True):
            place.copy_(tensor)
        return row


class Stack:
    """The networks of a cohort.

    ``parameters`` has the shape (members, parameters of one). What a network changes when it is called, such as the
    running statistics of batch normalisation, is changed in ``buffers``, for each member its own.
    """

    def __init__(self, networks: Sequence[nn.Module], device: str = "cpu", *, compiles: bool = False) -> None:
        self._compiled = Compiled() if compiles else None
        self._template = networks[0].to(device)
        self.layout = Layout(self._template)
        self.parameters = torch.stack([_row(network) for network in networks]).to(device)
        self.buffers = _stacked([dict(network.named_buffers()) for network in networks], device)
        self._persistent = [name for name in self._template.state_dict() if name in self.buffers]
        self._idle = set(self._settle())
        self._places = [place for place in _places(self._template) if place[2] not in self._idle]

    def _settle(self) -> Iterator[str]:
        """Show the buffers of all members to the layers that want to know; those that they then will not use."""
        for layer_name, layer in self._template.named_modules():
            settle = getattr(layer, "settle", None)
            names = {own: f"{layer_name}.{own}" if layer_name else own for own, _ in layer.named_buffers(recurse=False)}
            if settle and not settle({own: self.buffers[name] for own, name in names.items()}):
                yield from names.values()

    def __len__(self) -> int:
        return len(self.parameters)

    def modules(self) -> Iterator[nn.Module]:
        """The layers, which all members share."""
        return self._template.modules()

    def named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        """They, by the names that their parameters begin with."""
        return self._template.named_modules()

    def gradient(
        self,
        loss: Callable[..., Float[Tensor, ""]],
        parameters: Float[Tensor, "members parameters"],
        *arguments: Any,
        buffers: Tensors | None = None,
    ) -> Float[Tensor, "members parameters"]:
        """The gradient of ``loss(network, *arguments)``, which is written for one member.

        The networks read and change ``buffers``, if they are given, instead of their own.

        The members' losses do not depend on each other, so that the gradient of their sum holds that of each.
        A stack that compiles does so for each ``loss`` that it has not met yet.
        """
        buffers = self.buffers_in_use() if buffers is None else buffers
        if self._compiled:
            return self._compiled(loss, partial(self._gradient, loss), parameters, buffers, arguments)
        return self._gradient(loss, parameters, buffers, arguments)

    def _gradient(
        self, loss: Callable[..., Tensor], parameters: Float[Tensor, "members parameters"], buffers: Tensors, own: Any
    ) -> Float[Tensor, "members parameters"]:
        tensors = {name: part.requires_grad_() for name, part in self._split(parameters.detach()).items()}
        with torch.enable_grad():
            losses = self._call(loss, tensors, buffers, own, training=True)
            gradients = torch.autograd.grad(losses if len(self) == 1 else losses.sum(), list(tensors.values()))
        return self.layout.join(gradients).view_as(parameters)

    def curve(
        self,
        loss: Callable[..., Float[Tensor, ""]],
        direction: Float[Tensor, "members parameters"],
        *arguments: Any,
    ) -> tuple[Float[Tensor, "members parameters"], Float[Tensor, "members parameters"]]:
        """The gradient of ``loss(network, *arguments)``, and its Hessian times ``direction``, of networks at rest."""
        row = self.parameters.detach().requires_grad_()
        with torch.enable_grad():
            losses = self._call(loss, self._split(row), self.buffers_in_use(), arguments, training=False)
            (gradient,) = torch.autograd.grad(losses.sum(), row, create_graph=True)
            along = (gradient * direction).sum()
            (product,) = torch.autograd.grad(along, row, materialize_grads=True)
        return gradient.detach(), product

    @torch.no_grad()
    def evaluate(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        parameters: Float[Tensor, "members parameters"] | None = None,
    ) -> Any:
        """The result of ``function(network, *arguments)`` for each member, its network at rest (no dropout).

        The networks have ``parameters``, if they are given, instead of their own.
        """
        tensors = self._split(self.parameters if parameters is None else parameters)
        result = self._call(function, tensors, self.buffers_in_use(), arguments, training=False)
        return _map(result, lambda t: t[None]) if len(self) == 1 else result

    def _split(self, parameters: Float[Tensor, "members parameters"]) -> dict[str, Tensor]:
        """By name; those of one member alone without the member axis."""
        return self.layout.split(parameters[0] if len(self) == 1 else parameters)

    def buffers_in_use(self) -> Tensors:
        """Those that the networks read or change when they are called."""
        return {name: buffer for name, buffer in self.buffers.items() if name not in self._idle}

    def _call(
        self, function: Callable[..., Any], parameters: Tensors, buffers: Tensors, arguments: Any, *, training: bool
    ) -> Any:
        if self._template.training != training:
            self._template.train(training)

        def of_one(parameters: Tensors, buffers: Tensors, arguments: Any) -> Any:
            with self._holding(parameters, buffers):
                return function(self._template, *arguments)

        if len(self) == 1:
            return of_one(parameters, *_map((buffers, arguments), lambda t: t[0]))
        return vmap(of_one)(parameters, buffers, arguments)

    @contextmanager
    def _holding(self, parameters: Tensors, buffers: Tensors) -> Iterator[None]:
        """The template with the tensors of a member. ``functional_call`` does the same, in ten times the time."""
        before = [(place, own, place[own]) for place, own, _ in self._places]
        for place, own, name in self._places:
            place[own] = parameters[name] if name in parameters else buffers[name]
        try:
            yield
        finally:
            for place, own, tensor in before:
                place[own] = tensor

    def keep(self, places: Shaped[Tensor, " kept"]) -> None:
        """Drop all members but those at ``places``."""
        self.parameters = self.parameters[places]
        self.buffers = {name: buffer[places] for name, buffer in self.buffers.items()}

    def state(self, place: int) -> dict[str, Any]:
        """What a member has learnt, by name."""
        parameters = {name: part.clone() for name, part in self.layout.split(self.parameters[place]).items()}
        return {"parameters": parameters, "buffers": {n: self.buffers[n][place].clone() for n in self._persistent}}

    def load_state(self, place: int, state: Mapping[str, Any]) -> None:
        for name, part in self.layout.split(self.parameters[place]).items():
            part.copy_(state["parameters"][name])
        for name in self._persistent:
            self.buffers[name][place] = state["buffers"][name]


def _row(network: nn.Module) -> Float[Tensor, " parameters"]:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def _stacked(tensors: Sequence[Tensors], device: str) -> dict[str, Shaped[Tensor, "members ..."]]:
    return {name: torch.stack([each[name] for each in tensors]).to(device) for name in tensors[0]}


def _places(network: nn.Module) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Where each parameter and buffer is kept: a dict of its layer, the name in there, the whole name."""
    for layer_name, layer in network.named_modules():
        prefix = f"{layer_name}." if layer_name else ""
        for kept in (layer._parameters, layer._buffers):
            yield from ((kept, own, f"{prefix}{own}") for own, tensor in kept.items() if tensor is not None)

"""Functions of tensors that are written down, kernel by kernel, when they are first called, and then played.

All training steps call the same kernels, but `torch.func.vmap`, autograd and Python find out anew each time which ones:
for a small network that takes longer than the kernels. Played, they are called in the same order with the same
arguments, so that the results are the same to the bit, on every device.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

_MOST_TAPES = 4  # of a function: for whole batches, for the last one of an epoch, and for those before a member left
_RESHAPING = {"squeeze_", "unsqueeze_", "t_", "transpose_", "as_strided_"}
_UNSAFE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}

Played = Callable[[Sequence[Tensor]], Any]


class Recorded:
    """A function whose choices depend on the form of the tensors that it is given alone, and on none of their values.

    Whatever else it is given, and finds elsewhere, has to be the same in every call. It may change the tensors that it
    is given. One that looks at values after all is called as it is.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._tapes = function, dict[Hashable, Played | None]()

    def __call__(self, *arguments: Any) -> Any:
        tensors = list(_tensors(arguments))
        form = tuple(map(_geometry, tensors))
        if form in self._tapes:
            play = self._tapes[form]
            return play(tensors) if play else self._function(*arguments)
        if len(self._tapes) == _MOST_TAPES:
            self._tapes.clear()
        with _Recorder(tensors) as recorder:
            made = self._function(*arguments)
        self._tapes[form] = recorder.tape(made)
        return made


def _tensors(tree: Any) -> Iterator[Tensor]:
    """Those in dicts and tuples. PyTorch's own function for that takes a tenth of the step of a small network."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict | tuple):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(item)


class _Recorder(TorchDispatchMode):
    """Sees each kernel that is called, below ``vmap`` and autograd."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self._graph, self._constants = fx.Graph(), dict[str, Tensor]()
        self._nodes: dict[Hashable, fx.Node] = {}  # by where a tensor lies: the first that it was known as
        self._alive: list[Tensor] = []  # so that no two of them lie in the same place
        self._whole = len({*map(_place, tensors)}) == len(tensors)  # what is one tensor here may be two the next time
        for number, tensor in enumerate(tensors):
            self._know(tensor, self._graph.placeholder(f"given_{number}"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and to say so would import the compiler, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        node = self._graph.call_function(_as_view(func), *tree_map_only(Tensor, self._node, (args, named)))
        made = func(*args, **named)
        self._whole &= _UNSAFE.isdisjoint(func.tags) or func.__name__.partition(".")[0] in _RESHAPING
        for number, tensor in enumerate(made if isinstance(made, tuple | list) else ()):
            if isinstance(tensor, Tensor):
                self._know(tensor, self._graph.call_function(operator.getitem, (node, number)))
        if isinstance(made, Tensor):
            self._know(made, node)
        return made

    def _know(self, tensor: Tensor, node: fx.Node) -> None:
        self._alive.append(tensor)
        self._nodes.setdefault(_place(tensor), node)

    def _node(self, tensor: Tensor) -> fx.Node:
        """Of one that was given or made; any other stays what it is."""
        if _place(tensor) not in self._nodes:
            name = f"constant_{len(self._constants)}"
            self._constants[name] = tensor.detach()
            self._know(tensor, self._graph.get_attr(name))
        return self._nodes[_place(tensor)]

    def tape(self, made: Any) -> Played | None:
        """What plays it, from the tensors that are given; None if that would not do the same."""
        if not self._whole:
            return None
        results, form = tree_flatten(tree_map_only(Tensor, self._node, made))
        self._graph.output(results)
        self._graph.eliminate_dead_code()
        forward = fx.GraphModule(self._constants, self._graph).forward

        @torch.no_grad()
        def play(tensors: Sequence[Tensor]) -> Any:
            return tree_unflatten(forward(*tensors), form)

        return play


def _as_view(kernel: Any) -> Any:
    """What gives a view, for what changes the shape of the tensor itself: what lies in a place then stays as it is."""
    name, _, overload = kernel.__name__.partition(".")  # such as squeeze_.dim
    return getattr(getattr(torch.ops.aten, name.removesuffix("_")), overload) if name in _RESHAPING else kernel


def _geometry(tensor: Tensor) -> tuple[Hashable, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype


def _place(tensor: Tensor) -> Hashable:
    """Where a tensor lies in memory: the same for two that are one, which autograd may have made of it."""
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), *_geometry(tensor)

"""Functions of tensors through ``torch.compile``.

A function is first traced to plain kernels, with its gradients and its ``vmap``, and the trace is compiled. So it may
do what ``torch.compile`` itself cannot look through, and is compiled once for each set of shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from trainables.config import ConfigError


class Compiled:
    """Calls functions of one result, which may also change their arguments."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Callable[..., Tensor]] = {}

    def __call__(self, name: Hashable, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """``function(*arguments)``, where arguments are tensors, and dicts and tuples of them.

        Functions of one ``name`` have to do the same.

        Raises:
            ConfigError: there is no compiler that works.
        """
        tensors, tree = tree_flatten(arguments)
        key = (name, tree, *((tensor.shape, tensor.dtype) for tensor in tensors))
        if key in self._known:
            return self._known[key](*tensors)
        traced = make_fx(lambda *tensors: function(*tree_unflatten(tensors, tree)))(*(t.clone() for t in tensors))
        self._known[key] = torch.compile(traced, dynamic=False)
        return _first_call(self._known[key], tensors)


def _first_call(function: Callable[..., Tensor], tensors: list[Tensor]) -> Tensor:
    try:
        return function(*tensors)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        why = str(error).strip().partition("\n")[0]
        raise ConfigError(f"compile: torch.compile does not work here: {why}; set `compile: false`") from error

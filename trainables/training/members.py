"""The configs of a cohort as one: what may differ between its members becomes tensors, the rest has to be equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Shaped
from torch import Tensor

from trainables.api import PER_MEMBER
from trainables.config import hints

C = TypeVar("C")
Path = tuple[str, ...]


class Configs(Generic[C]):
    """The typed configs of several members.

    ``values`` maps the path of each field that differs to a tensor of shape (members,), float64 or int64.
    """

    def __init__(self, configs: Sequence[C], device: str = "cpu") -> None:
        found = [dict(_leaves(config)) for config in configs]
        self.values: dict[Path, Shaped[Tensor, " members"]] = {
            path: torch.tensor([leaves[path] for leaves in found], dtype=_dtype(value), device=device)
            for path, value in found[0].items()
            if any(leaves[path] != value for leaves in found)
        }
        self._bound, self._owners = _copy(configs[0])

    def bind(self, values: Mapping[Path, Tensor]) -> C:
        """A config with these values, valid until the next call.

        A function of one member reads ``config.optimizer.lr`` and gets a number or, under ``torch.func.vmap``, a tensor
        without dimensions. Both give the same results.
        """
        for path, value in values.items():
            object.__setattr__(self._owners[path], path[-1], value)
        return self._bound


def _dtype(value: float) -> torch.dtype:
    return torch.float64 if isinstance(value, float) else torch.int64


def _leaves(config: Any, above: Path = ()) -> Iterator[tuple[Path, float]]:
    for field in dataclasses.fields(config):
        value, path = getattr(config, field.name), (*above, field.name)
        if _is_config(value):
            yield from _leaves(value, path)
        elif PER_MEMBER in getattr(hints(type(config))[field.name], "__metadata__", ()):
            yield path, value


def _copy(config: Any, above: Path = ()) -> tuple[Any, dict[Path, Any]]:
    """A copy, and the part of it that owns each field.

    It is made without ``__post_init__``, which may ask questions that tensors do not answer.
    """
    copy, owners = object.__new__(type(config)), {}
    for field in dataclasses.fields(config):
        value, path = getattr(config, field.name), (*above, field.name)
        if _is_config(value):
            value, inner = _copy(value, path)
            owners |= inner
        owners[path] = copy
        object.__setattr__(copy, field.name, value)
    return copy, owners


def _is_config(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)

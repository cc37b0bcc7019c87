"""Random numbers as a pure function of a key, a counter and an index.

A trial draws the same numbers alone, in any cohort, on any device and on any number of workers, at whatever step it is
taken up again: there is no state beyond the counter. Everything works on one member, and under ``torch.func.vmap`` on
all members of a cohort at once.

Source: the mixers splitmix64 (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195) and a 32-bit one of the same
build with Wellons' constants (``lowbias32``, 2018, nullprogram.com/blog/2018/07/31). Good for dropout and batches, no
cipher.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.seeding import stream_seed

Key = Int[Tensor, ""]
"""An int64 that names a stream of one trial."""


def key_of(seed: int, name: str) -> Key:
    """The key of the stream ``name`` of a trial."""
    return torch.tensor(stream_seed(seed, name), dtype=torch.int64)


def uniform(key: Key, counter: Int[Tensor, ""], shape: tuple[int, ...], first: int = 0) -> Float[Tensor, ...]:
    """Draws from [0, 1) in steps of 2^-24, from the index ``first`` on, in float32."""
    bits = _bits(key, counter, first, math.prod(shape))
    return (_shifted(bits, 8).float() * 2.0**-24).view(shape)


def normal(key: Key, counter: Int[Tensor, ""], shape: tuple[int, ...], first: int = 0) -> Float[Tensor, ...]:
    """Draws from the standard normal distribution, by Box and Muller (1958, doi:10.1214/aoms/1177706645)."""
    radius = uniform(fold(key, 1), counter, shape, first)
    angle = uniform(fold(key, 2), counter, shape, first)
    return (-2 * torch.log1p(-radius)).sqrt() * torch.cos(2 * torch.pi * angle)


def permutation(key: Key, counter: Int[Tensor, ""], count: int) -> Int[Tensor, " count"]:
    """The numbers below ``count`` in random order."""
    places = torch.arange(count, device=key.device)
    return _mix64(places * _GOLDEN + _mix64(key + _mix64(counter))).argsort(stable=True)


def fold(key: Key, number: int | Int[Tensor, ""]) -> Key:
    """The key of a stream below the stream ``key``."""
    return _mix64(_mix64(key) + number)


class Draw:
    """The random numbers of one part of a training step. Each call draws new ones."""

    def __init__(self, key: Key, counter: Int[Tensor, ""], first_row: int = 0) -> None:
        """``first_row``: of this worker's share, in the batch that all workers share."""
        self._key, self._counter, self._first_row = key, counter, first_row
        self._calls = 0

    def uniform(self, like: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """From [0, 1), one for each element of ``like``."""
        return uniform(self._next_key(), self._counter, like.shape, self._first_row * like.shape[1:].numel())

    def normal(self, like: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """From the standard normal distribution, one for each element of ``like``."""
        return normal(self._next_key(), self._counter, like.shape, self._first_row * like.shape[1:].numel())

    def one(self) -> Float[Tensor, ""]:
        """From [0, 1), the same for all workers."""
        return uniform(self._next_key(), self._counter, ())

    def permutation(self, count: int) -> Int[Tensor, " count"]:
        """The numbers below ``count`` in random order."""
        return permutation(self._next_key(), self._counter, count)

    def _next_key(self) -> Key:
        self._calls += 1
        return fold(self._key, self._calls)


_GOLDEN = -7046029254386353131  # 2^64 over the golden ratio, odd, as an int64


def _mix64(x: Int[Tensor, ...]) -> Int[Tensor, ...]:
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def _bits(key: Key, counter: Int[Tensor, ""], first: int, count: int) -> Int[Tensor, " count"]:
    """32 random bits for each index. Half of the mixed key shifts the index, the other half flips the bits after it."""
    seed = _mix64(key + _mix64(counter + _GOLDEN))
    low, high = seed.to(torch.int32), (seed >> 32).to(torch.int32)
    x = torch.arange(first, first + count, dtype=torch.int32, device=key.device) + low
    x = (x ^ _shifted(x, 16)) * 0x7FEB352D
    x = (x ^ _shifted(x, 15)) * -2073254261
    return x ^ _shifted(x, 16) ^ high


def _shifted(x: Int[Tensor, ...], places: int) -> Int[Tensor, ...]:
    """A shift to the right that fills with zeros."""
    return (x >> places) & ((1 << (32 - places)) - 1)

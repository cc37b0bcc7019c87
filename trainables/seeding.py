"""One seed, many independent random streams.

A stream belongs to a name (``data``, ``init``, ``order``, ``attack``, ...) and to the seed of the trial, so what one
part of a trainable draws never shifts what another part draws, and a trial draws the same numbers wherever it runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name``, from SHA-256, so that nearby seeds give unrelated streams."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Streams:
    """The random streams of one trial. The same name gives the same object, which goes on where it was."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._torch: dict[tuple[str, str], torch.Generator] = {}
        self._numpy: dict[str, np.random.Generator] = {}

    def torch(self, name: str, device: str = "cpu") -> torch.Generator:
        import torch

        key = (name, device)
        if key not in self._torch:
            self._torch[key] = torch.Generator(device).manual_seed(stream_seed(self.seed, name))
        return self._torch[key]

    def numpy(self, name: str) -> np.random.Generator:
        import numpy as np

        if name not in self._numpy:
            self._numpy[name] = np.random.default_rng(stream_seed(self.seed, name))
        return self._numpy[name]

    def state_dict(self) -> dict[str, Any]:
        """Where every stream stands, for a checkpoint."""
        return {
            "torch": {f"{name}@{device}": stream.get_state() for (name, device), stream in self._torch.items()},
            "numpy": {name: stream.bit_generator.state for name, stream in self._numpy.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for key, value in state["torch"].items():
            name, device = key.rsplit("@", 1)
            self.torch(name, device).set_state(value.cpu())
        for name, value in state["numpy"].items():
            self.numpy(name).bit_generator.state = value

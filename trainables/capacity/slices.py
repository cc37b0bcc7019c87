"""Where the networks of a trial are looked at: planes through examples, and ways from one example to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.capacity.slicing import Slicing
from trainables.data import Examples
from trainables.probes.planes import Planes, is_flat, through
from trainables.probes.triplets import Drawn, triplets
from trainables.seeding import stream_seed
from trainables.training.examples import StackedPart


@dataclass(frozen=True, eq=False)
class Slices:
    """Where the networks of one trial are looked at; it does not depend on the networks."""

    planes: Planes
    inputs: Float[Tensor, "inputs features"]
    others: Float[Tensor, "inputs directions features"]

    @property
    def farthest(self) -> float:
        """Twice the mean way to another input: where distances end."""
        return 2 * torch.linalg.vector_norm(self.others - self.inputs[:, None], dim=2).mean().item()


def slices(
    parts: dict[str, StackedPart], examples: Examples, slicing: Slicing, seeds: Sequence[int]
) -> dict[int, Slices]:
    """Those of each member, by its number."""
    own = [{name: _of(part, n) for name, part in parts.items()} for n in range(len(seeds))]
    return {n: _drawn(of, examples, slicing, seed) for n, (of, seed) in enumerate(zip(own, seeds, strict=True))}


def _of(part: StackedPart, member: int) -> StackedPart:
    return part.keep(torch.tensor([member], device=part.rows.device))


def _drawn(parts: dict[str, StackedPart], examples: Examples, slicing: Slicing, seed: int) -> Slices:
    part = parts[slicing.part]
    labels = examples.labels[part.rows[0].cpu().numpy() % len(examples.labels)]  # the data may be there several times
    wrong = part.labels[0].cpu().numpy() != labels

    def refused(drawn: Drawn) -> bool:
        mislabelled = slicing.classes == "equal" and wrong[drawn].any()
        return bool(mislabelled or is_flat(_inputs(part, drawn)[None].cpu().numpy())[0])

    chosen = triplets(labels, slicing.count, seed, slicing.classes, refused)
    planes = through(_inputs(part, chosen.ravel()).unflatten(0, chosen.shape))
    return Slices(planes, *_walks(parts["test"], slicing, seed))


def _walks(test: StackedPart, slicing: Slicing, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs, and for each of them others to walk to."""
    rng = np.random.default_rng(stream_seed(seed, "margin"))
    first = rng.choice(test.count, min(slicing.inputs, test.count), replace=False)
    apart = rng.integers(1, test.count, (len(first), slicing.directions))  # never the input itself
    others = (first[:, None] + apart) % test.count
    return _inputs(test, first), _inputs(test, others.ravel()).unflatten(0, others.shape)


def _inputs(part: StackedPart, places: Int[np.ndarray, " examples"]) -> Float[Tensor, "examples features"]:
    """Some inputs of the only member, as its networks see them."""
    at = torch.from_numpy(places).to(part.rows.device)[None]
    own = replace(part, rows=part.rows.gather(1, at), labels=part.labels.gather(1, at))
    return own.chunk(0, own.count)[0].flatten(1)

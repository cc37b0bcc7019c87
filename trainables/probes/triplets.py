"""Which three examples a plane goes through: drawn by the number of the plane, the same ones for every model.

Source: the three ways of drawing in Somepalli et al., 2022, arXiv:2203.08124, secs. 4 and 5.  Differs: triangles that
are too flat for a plane are drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Int

from trainables.seeding import stream_seed

Classes = Literal["any", "different", "equal"]
Drawn = Int[np.ndarray, "3"]
_MOST_TRIES = 1000


def triplets(
    labels: Int[np.ndarray, " examples"],
    count: int,
    seed: int,
    classes: Classes = "any",
    refused: Callable[[Drawn], bool] = lambda _: False,
) -> Int[np.ndarray, "count 3"]:
    """The places of three examples for each plane.

    They depend on ``seed``, the number of the plane and the labels: more planes leave the first ones as they are.

    Args:
        labels: those that ``classes`` speaks of.
        count: planes.
        seed: of the triplets; give all models that are compared the same.
        classes: of the three examples. ``equal``: of each class in its turn.
        refused: whether a triplet has to be drawn again.

    Raises:
        ValueError: there are no such triplets, or nearly all are refused.
    """
    pools = _pools(labels, classes)
    return np.array([_accepted(pools, number, seed, classes, refused) for number in range(count)])


def _pools(labels: Int[np.ndarray, " examples"], classes: Classes) -> list[Int[np.ndarray, " pool"]]:
    """What a triplet is drawn from: the examples of one pool, or one example of each of three."""
    by_class = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    pools = [np.arange(len(labels))] if classes == "any" else by_class
    pools = [pool for pool in pools if classes == "different" or len(pool) >= 3]
    if len(pools) < (3 if classes == "different" else 1):
        got = f"{len(labels)} examples of {len(by_class)} classes"
        raise ValueError(f"planes: got {got}, expected three examples of {classes} classes")
    return pools


def _accepted(
    pools: list[Int[np.ndarray, " pool"]], number: int, seed: int, classes: Classes, refused: Callable[[Drawn], bool]
) -> Drawn:
    rng = np.random.default_rng(stream_seed(seed, f"plane/{number}"))
    for _ in range(_MOST_TRIES):
        if classes == "different":
            chosen = rng.choice(len(pools), 3, replace=False)
            drawn = np.array([rng.choice(pools[c]) for c in chosen])
        else:
            drawn = rng.choice(pools[number % len(pools)], 3, replace=False)
        if not refused(drawn):
            return drawn
    raise ValueError(f"planes: no three of these examples span a plane, in {_MOST_TRIES} draws")

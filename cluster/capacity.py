"""How many processes run at a time while nodes join and leave the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cluster import nodes, placement
from cluster.placement import Node, Resources

_LOOK_S = 1.0  # between two looks at the cluster


class Capacity:
    """Follows the cluster. Raises PlacementError at the start if no trial fits, and waits for nodes later.

    With ``autoscale`` a cluster is taken to add nodes for what waits: as many trials again as fit may wait, at least
    one, so that demand doubles until ``limit`` is reached, and few points are proposed long before they can run.
    """

    def __init__(
        self,
        resources: Resources,
        limit: int | None = None,
        *,
        autoscale: bool = False,
        say: Callable[[str], None] = lambda _: None,
        look: Callable[[], Sequence[Node]] = lambda: nodes.one_by_one(nodes.joined()),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources, self._limit, self._autoscale = resources, limit, autoscale
        self._say, self._look, self._clock = say, look, clock
        machines = look()
        if not autoscale:
            placement.concurrent(resources, machines)
        self._looked, self._machines = clock(), len(machines)
        self._fitting = placement.fits(resources, machines)
        if not self._fitting:
            say("no node can hold a trial yet; waiting for the cluster to add some")

    @property
    def now(self) -> int:
        """Trials, or groups of trials, that may run or wait for a place at this moment."""
        if self._clock() - self._looked >= _LOOK_S:
            self._renew()
        allowed = max(2 * self._fitting, 1) if self._autoscale else self._fitting
        return min(allowed, self._limit) if self._limit else allowed

    def _renew(self) -> None:
        machines, before = self._look(), self._fitting
        self._looked, self._fitting = self._clock(), placement.fits(self._resources, machines)
        if self._fitting != before:
            joined = len(machines) - self._machines
            news = (
                f"{abs(joined)} node{'s' * (abs(joined) != 1)} {'joined' if joined > 0 else 'left'}"
                if joined
                else "nodes changed"
            )
            then = (
                f"room for {self._fitting} at a time, {before} before"
                if self._fitting
                else "waiting for one that can hold a trial"
            )
            self._say(f"{news}: {then}")
        self._machines = len(machines)

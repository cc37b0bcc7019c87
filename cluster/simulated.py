"""Runs trials in virtual time: the source, its search and its ledger are real, only the processes are not.

A heap of events takes the place of a cluster. Processes start, step, report, die and come back as a ``World`` says, at
times that a seed decides, so that a thousand nodes fit into one process and a day into seconds. What is reported are
curves, made up or recorded: a simulated run says how a sweep runs and nothing about what it asks.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from cluster import placement
from cluster.placement import Resources, Sizes
from cluster.traffic import Traffic
from cluster.work import Batch, Idle, OpenSink, Source, Work
from cluster.world import Agenda, Clock, Curves, Member, Place, World
from trainables.api import Cause, Ending, Order, Outcome

_HOUR_S = 3600.0
_PLENTY = 1e15  # of what a world does not speak of, such as memory
_SOON_S, _LATE_S = 0.5, 30.0  # between two looks for work that became ready by itself


@dataclass
class Facts:
    """What came of a simulation."""

    places: int
    seconds: float = 0.0
    busy_s: float = 0.0  # of all places together
    faults: Counter[str] = field(default_factory=Counter)  # cause -> processes that were lost with their trials
    delays: array[float] = field(default_factory=lambda: array("d"))  # of each message until the driver answered, in s

    def sentence(self) -> str:
        share = self.busy_s / (self.places * self.seconds) if self.seconds else 0.0
        faults = "".join(f", {count} lost ({cause})" for cause, count in sorted(self.faults.items()) if count)
        late = f", the driver answered after {1000 * max(self.delays):.0f} ms at most" if any(self.delays) else ""
        return f"simulated: {self.places} processes, {share:.0%} busy{late}{faults}"


def run(
    source: Source,
    open_sink: OpenSink,
    *,
    world: World,
    clock: Clock,
    curves: Curves,
    resources: Resources,
    max_concurrent: int | None = None,
    sizes: Sizes | None = None,
) -> Facts:
    """Run what ``source`` gives out until it has no more, or is stopping. Raises PlacementError if no node can."""
    found = places(resources, world, max_concurrent)
    traffic = Traffic(source, open_sink, sizes or Sizes(1), takes=placement.bundle(resources), sharing=len(found))
    simulation = _Simulation(traffic, found, world, clock, curves)
    try:
        simulation.run()
    finally:
        simulation.close()
        traffic.settle()
    return simulation.facts


def places(resources: Resources, world: World, limit: int | None = None) -> list[Place]:
    """As many as fit, and at most ``limit``. The workers of a group may lie on several nodes."""
    takes = placement.bundle(resources)
    machine = {**dict.fromkeys(takes, _PLENTY), "CPU": float(world.cpus), "GPU": float(world.gpus)}
    machines = [machine] * world.nodes
    at_once = placement.concurrent(resources, machines, limit)
    per_node = placement.places(takes, machine)
    slots = [node for node in range(len(machines)) for _ in range(per_node)]
    size = max(1, resources.workers)
    return [Place(str(n), frozenset(slots[n * size : (n + 1) * size])) for n in range(at_once)]


class _Simulation:
    def __init__(self, traffic: Traffic, places: list[Place], world: World, clock: Clock, curves: Curves) -> None:
        self._traffic, self._places, self._world = traffic, places, world
        self._clock, self._curves = clock, curves
        self._random = random.Random(f"{world.seed} {clock()}")  # noqa: S311 - a resumed run draws other numbers
        self._agenda, self._idle = Agenda(), deque(places)
        self._num_busy = 0
        self._away: set[int] = set()  # nodes
        self._saved: dict[str, int] = {}  # trial -> the report that comes after its last checkpoint
        self._driver_free = self._began = clock()
        self._over, self._looks, self._look_s = False, False, _SOON_S
        self.facts = Facts(len(places))

    def run(self) -> None:
        world = self._world
        self._put_fault(world.process_hours, len(self._places), self._kill)
        self._put_fault(world.node_hours, world.nodes, partial(self._lose, Cause.NODE))
        self._put_fault(world.preempt_hours, world.nodes, partial(self._lose, Cause.PREEMPTED))
        self._give()
        while self._agenda and not self._over and not self._traffic.stopping:
            time, what = self._agenda.pop()
            self._clock.advance(time)
            what()

    def close(self) -> None:
        for place in self._places:
            self._rest(place)
        self.facts.seconds = self._clock() - self._began

    # --- work ---------------------------------------------------------------------------------------------------------

    def _give(self) -> None:
        """Give work to those who have none, as long as there is some."""
        while self._idle:
            place = self._idle.popleft()
            work = self._traffic.next(place.name)
            if isinstance(work, Idle):
                self._idle.appendleft(place)
                self._over = work is Idle.FINISHED and not self._num_busy
                self._look_again()
                return
            self._look_s = _SOON_S
            self._begin(place, work)

    def _look_again(self) -> None:
        """What waits for another attempt says only when asked that it has waited long enough."""
        if not self._looks and not self._over:
            self._looks = True
            self._agenda.put(self._clock() + self._look_s, self._look)
            self._look_s = min(2 * self._look_s, _LATE_S)

    def _look(self) -> None:
        self._looks = False
        self._give()

    def _begin(self, place: Place, work: Work) -> None:
        self._num_busy += 1
        place.since, place.open_sink, place.size = self._clock(), work.open_sink, work.size or len(work.orders)
        self._add(place, work.orders)
        ready = self._answered() + (0 if place.warm else self._world.start_s)
        self._agenda.put(ready, partial(self._start, place, place.life))

    def _add(self, place: Place, orders: Sequence[Order]) -> None:
        assert place.open_sink, "the place has work"
        for order in orders:
            at = self._saved.get(order.trial, 0)
            place.members[order.trial] = Member(order, self._curves(order), place.open_sink(order), at)

    def _answered(self) -> float:
        """When the driver has dealt with what just came in, after what came before."""
        self._driver_free = max(self._driver_free, self._clock()) + self._world.driver_ms / 1000
        self.facts.delays.append(self._driver_free - self._clock())
        return self._driver_free

    def _start(self, place: Place, life: int) -> None:
        if place.life == life:
            place.warm = True
            self._traffic.started(place.name)
            self._put_step(place, self._clock())

    def _put_step(self, place: Place, now: float) -> None:
        seconds = place.step_s(self._world, self._random)
        self._agenda.put(now + seconds, partial(self._step, place, place.life, seconds))

    def _step(self, place: Place, life: int, seconds: float) -> None:
        if place.life != life:
            return
        self._save(place, self._world.checkpoint_s)
        reports, endings = place.step(seconds)
        took = {trial: member.seconds for trial, member in place.members.items()}
        batch = Batch(tuple(reports), endings, took, place.size - len(place.members) + len(endings))
        stops = self._traffic.take(place.name, batch)
        place.remove({trial: ending.outcome for trial, ending in endings.items()} | stops)
        for trial in (*endings, *stops):
            self._saved.pop(trial, None)
        self._add(place, self._traffic.more(place.name, batch, len(stops)))
        answered = self._answered()
        if place.members:
            self._put_step(place, answered)
        else:
            self._rest(place)
            self._idle.append(place)
        if endings or stops:
            self._give()

    def _save(self, place: Place, every_s: float) -> None:
        """Checkpoints of those whose last is older."""
        for trial, member in place.members.items():
            if member.at and member.unsaved_s >= every_s:
                self._saved[trial], member.unsaved_s = member.at, 0.0

    def _rest(self, place: Place) -> None:
        """Nothing runs there any more."""
        if place.since is not None:
            self._num_busy -= 1
            self.facts.busy_s += self._clock() - place.since
            place.since = None
        place.life += 1
        place.members.clear()

    # --- faults -------------------------------------------------------------------------------------------------------

    def _put_fault(self, hours: float, many: int, what: Callable[[], None]) -> None:
        """Strike at random moments, on average once in so many hours for each of so many."""
        if hours:
            wait_s = self._random.expovariate(many / (hours * _HOUR_S))
            self._agenda.put(self._clock() + wait_s, partial(self._strike, hours, many, what))

    def _strike(self, hours: float, many: int, what: Callable[[], None]) -> None:
        what()
        self._put_fault(hours, many, what)
        self._give()

    def _kill(self) -> None:
        place = self._random.choice(self._places)
        if not place.nodes & self._away and place.warm:
            self._end(place, Cause.DIED)

    def _lose(self, cause: Cause) -> None:
        """A node that is preempted is told so, and its trials save what they have."""
        node = self._random.randrange(self._world.nodes)
        if node in self._away:
            return
        self._away.add(node)
        for place in self._places:
            if node in place.nodes:
                if cause is Cause.PREEMPTED:
                    self._save(place, 0.0)
                self._end(place, cause)
        self._idle = deque(place for place in self._idle if not place.nodes & self._away)
        self._agenda.put(self._clock() + self._world.back_s, partial(self._return, node))

    def _return(self, node: int) -> None:
        self._away.discard(node)
        self._idle += [p for p in self._places if node in p.nodes and not p.nodes & self._away]
        self._give()

    def _end(self, place: Place, cause: Cause) -> None:
        """The process is gone. The next one there has to start anew."""
        place.warm = False
        was_busy = place.since is not None
        self.facts.faults[cause.value] += was_busy
        self._traffic.end(place.name, Ending(Outcome.LOST, f"simulated: {cause.value}", cause=cause))
        self._rest(place)
        if was_busy:
            self._idle.append(place)

"""Trials that run together in one process: stacked if their trainable can do that, else one after the other."""

from __future__ import annotations

import contextlib
import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from trainables import registry
from trainables.ambient import ambient, reuse_freed_memory
from trainables.api import Ending, Metrics, Order, Outcome, Reports, Sink
from trainables.checkpoint import Pace
from trainables.endings import is_out_of_memory
from trainables.member import Member
from trainables.reading import ReportError
from trainables.registry import TrainableError

_WORTH_MOVING = 0.25  # share of the places that has to be free before a group is filled up


@dataclass(frozen=True)
class Round:
    """What is new of some trials: reports, in the order in which they were made, and endings."""

    reports: Sequence[tuple[str, int, Metrics]] = ()
    endings: Mapping[str, Ending] = field(default_factory=dict)


class Cohort:
    """Iterate over its rounds. What a trainable raises ends trials and is never raised here; what a sink raises is.

    At most ``size`` trials are stacked; others wait, and take the places of those that end. If a stacked group raises,
    it is divided and its parts go on, so that what one trial raises ends no other, and a group that is too large for
    the memory becomes two.
    """

    def __init__(
        self,
        orders: Sequence[Order],
        open_sink: Callable[[Order], Sink],
        *,
        size: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size = size or len(orders)
        self.pulse: Callable[[], None] = lambda: None
        self._open_sink, self._worker = open_sink, (rank, world_size)
        self._pace = Pace()
        self._waiting: deque[Member] = deque()
        self._group: list[Member] = []  # stacked now
        self._untils: list[float] = []  # by place in the group: the step up to which its config holds
        self._reports: Generator[Reports, None, None] | None = None
        self.add(orders)

    def add(self, orders: Sequence[Order]) -> None:
        """Let more trials of the same shape wait for places."""
        self._waiting.extend(Member(order, self._open_sink, *self._worker, self._pulse) for order in orders)

    def _pulse(self) -> None:
        self.pulse()

    @property
    def _active(self) -> list[Member]:
        return [member for member in self._group if not member.ending]

    @property
    def live(self) -> list[Member]:
        """The trials that have not ended."""
        return [*self._active, *self._waiting]

    @property
    def free(self) -> int:
        """Places for more trials."""
        return max(0, self.size - len(self.live))

    @property
    def over(self) -> bool:
        return not self.live

    @property
    def about_to_save(self) -> bool:
        """Whether checkpoints are saved as soon as it goes on. Who counts reports should have these by then."""
        return self._pace.due and any(member.offers for member in self._active)

    def __iter__(self) -> Iterator[Round]:
        return self

    def __next__(self) -> Round:
        if self.about_to_save and (failed := self._save()):
            return self._end_all(failed)
        if self.over:
            self._stop_group()
            raise StopIteration
        try:
            self._regroup()
        except Exception as error:  # noqa: BLE001 - the trainable makes the states that are moved
            return self._broken(error)
        reports = self._reports or self._start_group()
        try:
            with self._timed():
                reported = self._by_member(next(reports))
        except StopIteration:
            return self._end_all({member: member.exhausted() for member in self._active})
        except BaseException as error:  # noqa: BLE001 - whatever a trainable raises ends its trials and no others
            return self._broken(error)
        return self._take(reported)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Share the time that this takes among the group."""
        began = time.perf_counter()
        try:
            yield
        finally:
            active = self._active
            for member in active:
                member.seconds += (time.perf_counter() - began) / len(active)

    @property
    def seconds(self) -> dict[str, float]:
        """What each trial that goes on has taken so far, its share of what they took together."""
        return {member.order.trial: member.seconds for member in self.live}

    def _save(self) -> dict[Member, Ending]:
        """Save what the members offer; those whose state cannot be saved."""
        failed: dict[Member, Ending] = {}
        with self._pace.saving():
            for member in self._active:
                try:
                    member.save()
                except Exception as error:  # noqa: BLE001 - the trainable makes the state
                    failed[member] = member.raised(error)
        return failed

    # --- running ------------------------------------------------------------------------------------------------------

    def _start_group(self) -> Generator[Reports, None, None]:
        self._group = self._next_group()
        self._reports = self._run(self._group)
        return self._reports

    def _next_group(self) -> list[Member]:
        group: list[Member] = []
        if not _stacks(self._waiting[0].order):
            self._waiting[0].most = 1
        while self._waiting and len(group) < self._most([*group, self._waiting[0]]):
            group.append(self._waiting.popleft())
            group[-1].open()
        return group

    def _most(self, members: Sequence[Member]) -> float:
        return min([self.size, *(member.most for member in members)])

    def _run(self, group: Sequence[Member]) -> Generator[Reports, None, None]:
        order = group[0].order
        trainable = registry.find(order.trainable, order.search_path or ".")
        if len(group) > 1:
            reuse_freed_memory()
        with ambient(order.seed, order.threads, self._worker[0]):
            stages = [member.stage for member in group]
            self._untils = [until for _, until in stages]
            configs = [trainable.build(copy.deepcopy(dict(config))) for config, _ in stages]
            yield from trainable.run(configs, [member.trial for member in group])

    def _by_member(self, reports: Any) -> dict[Member, Any]:
        """The reports of those that have not ended."""
        places = dict(enumerate(self._group))
        if not isinstance(reports, Mapping) or any(number not in places for number in reports):
            expected = f"reports by the place of their trial, 0 to {len(places) - 1}"
            raise ReportError(f"{self._group[0].order.trainable}: yielded {reports!r:.60}, expected {expected}")
        return {places[number]: report for number, report in reports.items() if not places[number].ending}

    def _take(self, reports: Mapping[Member, Any]) -> Round:
        found: list[tuple[str, int, Metrics]] = []
        for member in self._active:
            if member not in reports:
                member.skip()
        for member, reported in reports.items():
            try:
                read = member.read(reported)
            except Exception as error:  # noqa: BLE001 - a report that is none ends its trial
                member.verdict = member.raised(error)
            else:
                found += [(member.order.trial, *read)] if read and member.write(*read) else []
        return Round(found, self._end_all({m: m.verdict for m in self._active if m.verdict}).endings)

    # --- moving -------------------------------------------------------------------------------------------------------

    def _regroup(self) -> None:
        """Form the group anew where a member's config changes, or where enough places are free for those that wait."""
        if self._reports is None:
            return
        pairs = [(m, until) for m, until in zip(self._group, self._untils, strict=True) if not m.ending]
        members = [member for member, _ in pairs]
        changes = [member for member, until in pairs if member.has_come_to(until)]
        if changes or (self._is_worth_filling(members) and all(member.may_move for member in members)):
            for member in members:
                member.move()
            self._stop_group()
            self._waiting.extendleft(reversed(members))
            self._group = []

    def _is_worth_filling(self, members: Sequence[Member]) -> bool:
        most = self._most([*members, *islice(self._waiting, 1)])
        return bool(self._waiting) and most - len(members) >= max(1, _WORTH_MOVING * most)

    def _broken(self, error: BaseException) -> Round:
        """End what has raised; of several members nobody knows which one it was."""
        self._stop_group()
        members = self.live if isinstance(error, KeyboardInterrupt) else self._active
        if len(members) == 1 or isinstance(error, KeyboardInterrupt):
            return self._end_all({member: member.raised(error) for member in members})
        half = max(1, len(members) // 2)
        if is_out_of_memory(error):
            self.size = min(self.size, half)
        for member in members:
            member.most = half
            member.rewind()
        self._waiting.extendleft(reversed(members))
        self._group = []
        return Round()

    # --- ending -------------------------------------------------------------------------------------------------------

    def drop(self, outcomes: Mapping[str, Outcome], error: str = "") -> None:
        """End these trials between two rounds."""
        for member in self.live:
            if outcome := outcomes.get(member.order.trial):
                self._close(member, outcome, error)

    def close(self, outcome: Outcome, error: str = "") -> None:
        """End everything between two rounds. What is cancelled keeps the newest state that was offered."""
        for member in self.live:
            self._close(member, outcome, error)

    def _close(self, member: Member, outcome: Outcome, error: str) -> None:
        if self._active == [member] and outcome != Outcome.CANCELLED:
            self._stop_group()
        member.close(outcome, error)
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.ending)
        if not self._active:
            self._stop_group()

    def _end_all(self, endings: Mapping[Member, Ending]) -> Round:
        if all(member in endings for member in self._active):
            self._stop_group()
        timed = {member: replace(ending, seconds=member.seconds) for member, ending in endings.items()}
        for member, ending in timed.items():
            member.end(ending)
        self._waiting = deque(member for member in self._waiting if not member.ending)
        return Round((), {member.order.trial: ending for member, ending in timed.items()})

    def _stop_group(self) -> None:
        reports, self._reports = self._reports, None
        if reports:
            with contextlib.suppress(Exception, SystemExit):  # what a trainable raises on its way out changes nothing
                reports.close()


def _stacks(order: Order) -> bool:
    with contextlib.suppress(TrainableError):  # one that cannot be found fails each trial
        return registry.find(order.trainable, order.search_path or ".").stacks
    return False

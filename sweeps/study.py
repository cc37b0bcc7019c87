"""The search of one cell: an Optuna study driven by ask and tell."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from sweeps import samplers, space
from sweeps.space import Cell, Point
from sweeps.spec import Bound, Scalar, Sweep

DEFAULT_POINTS = 16
_OWN_DRAWS = 50  # of one point by the sampler, while they break constraints between parameters
_MOST_DRAWS = 1000  # before these are called unsatisfiable


Earlier = tuple[tuple[Point, int], ...]
"""The points that a point goes on from, each until a step."""


class SearchError(Exception):
    """A search that cannot go on; one line."""


@dataclass(frozen=True)
class Told:
    """What became of a point. ``values`` are those of the objectives, one mean over seeds each."""

    state: TrialState
    values: Sequence[float] = ()
    feasible: bool = True


def budget(sweep: Sweep, cells: Sequence[Cell], cell: Cell) -> int:
    """How many points this cell gets: the same in every cell, unless it has fewer to try."""
    parameters = space.parameters(sweep, cell)
    if not parameters:
        return 1
    points = sweep.search.points or DEFAULT_POINTS
    if sweep.search.sampler == "grid":
        whole = len(space.grid(parameters))
        points = min(sweep.search.points or whole, whole)
    if sweep.search.trials:
        points = min(points, max(1, sweep.search.trials // (len(cells) * sweep.seeds.tune)))
    return points


class CellStudy:
    """Proposes the points of one cell, numbered 0, 1, ..., and learns what became of them."""

    def __init__(
        self,
        sweep: Sweep,
        cell: Cell,
        points: int,
        last_step: int | None = None,
        held: frozenset[str] = frozenset(),
    ) -> None:
        """``held``: parameters that keep their value for a few points in a row, so that these can be stacked."""
        self.cell, self.points = cell, points
        self.space = space.parameters(sweep, cell)
        self.batch = samplers.batch(sweep.search, points)
        self._held = held & set(self.space) if sweep.search.sampler in samplers.CAN_HOLD else frozenset()
        self._between = {k: b for k, b in sweep.constraints.items() if k in sweep.nuisance}
        self._objectives = sweep.objectives
        self._open: dict[int, optuna.Trial] = {}
        self._uniform = optuna.samplers.RandomSampler(seed=sweep.search.seed)
        self._optuna_numbers: list[int] = []  # by our number; they differ where draws broke a constraint
        self._behind: deque[Callable[[], object]] = deque()  # what Optuna has not been shown yet
        self.asked: list[Point] = []
        self.told: dict[int, Told] = {}
        self.best: int | None = None  # by the first objective
        self.earlier: dict[int, Earlier] = {}  # of the points that took over from another
        self.study = optuna.create_study(
            directions=[objective.goal for objective in sweep.objectives],
            sampler=samplers.sampler(sweep.search, self.space, points),
            pruner=samplers.pruner(sweep.scheduler, last_step),
            study_name=f"{sweep.sweep}/{cell.id}",
        )
        if sweep.search.sampler == "grid":
            for point in space.grid(self.space):
                self.study.enqueue_trial(dict(point))
        how = [sorted(self._held)] if self._held else []
        self.signature = space.digest(
            [_plain(self.space), sweep.search.sampler, sweep.search.seed, _plain(self._between), *how]
        )

    @property
    def exhausted(self) -> bool:
        return len(self.asked) - len(self.earlier) >= self.points

    @property
    def in_flight(self) -> int:
        return len(self.asked) - len(self.told)

    @property
    def room(self) -> int:
        """How many more points may be asked for before one of those in flight is told."""
        left = self.points - (len(self.asked) - len(self.earlier))
        return max(0, min(left, max(samplers.STARTUP - len(self.told), self.batch) - self.in_flight))

    def ask(self) -> tuple[int, Point]:
        """The next point and its number."""
        self._catch_up()
        self.asked.append(self._propose())
        return len(self.asked) - 1, self.asked[-1]

    def asked_before(self, point: Point) -> int:
        """Take a point of an earlier life, and return its number.

        A sampler comes back by being asked and told the same again. In a large run that is slow, so it waits until
        this cell needs its sampler, which a cell that is tuned never does.
        """
        number = len(self.asked)
        self.asked.append(point)
        self._behind.append(lambda: self._propose_again(number))
        return number

    def _catch_up(self) -> None:
        while self._behind:
            self._behind.popleft()()

    def _propose_again(self, number: int) -> None:
        before, point = self.asked[number], self._propose()
        if space.point_id(point) != space.point_id(before):  # only another version of Optuna can do this
            raise SearchError(
                f"cell {self.cell.id}, point {number}: the sampler now proposes {dict(point)}, "
                f"the ledger has {dict(before)}; resume with the version of Optuna in environment.json"
            )

    def _propose(self) -> Point:
        for draw in range(_MOST_DRAWS):
            held = self._values_held() if draw < _MOST_DRAWS // 2 else {}
            trial, point = self._draw(held, uniformly=draw >= _OWN_DRAWS)
            broken = space.broken(point, self._between)
            if not broken:
                return self._keep(trial, point)
            for name, excess in broken.items():  # so that a sampler that models constraints learns of this one
                trial.set_constraint(name, excess)
            self.study.tell(trial, state=TrialState.PRUNED)
        raise SearchError(f"cell {self.cell.id}: no point keeps the constraints, in {_MOST_DRAWS} draws")

    def breaks(self, point: Point) -> bool:
        """Whether a point breaks a constraint between parameters."""
        return bool(space.broken(point, self._between))

    def _draw(self, held: Mapping[str, Scalar], *, uniformly: bool) -> tuple[optuna.Trial, Point]:
        """Some samplers insist on what breaks a constraint; then uniform draws take over, for this point."""
        own = self.study.sampler
        self.study.sampler = samplers.holding(self._uniform if uniformly else own, held)
        try:
            trial = self.study.ask()
            return trial, space.suggest(trial, self.space)
        finally:
            self.study.sampler = own

    def _values_held(self) -> dict[str, Scalar]:
        """Those of the first point of every few, so that at least ``GROUPS`` combinations of them are tried."""
        number = len(self._optuna_numbers)
        first = number - number % max(1, self.points // samplers.GROUPS)
        return {name: self.asked[first][name] for name in self._held & set(self.asked[first])} if first < number else {}

    def _keep(self, trial: optuna.Trial, point: Point) -> Point:
        self._open[len(self._optuna_numbers)] = trial
        self._optuna_numbers.append(trial.number)
        return point

    def take_over(self, point: Point, earlier: Earlier) -> int:
        """Add a point that the sampler did not propose, and that does not count for the budget."""
        self._catch_up()
        self.study.enqueue_trial(dict(point))
        number, _ = self.ask()
        self.earlier[number] = earlier
        return number

    def judge(self, number: int, step: int, value: float, said: bool | None = None) -> bool:
        """Show the scheduler the objective of a point at a step; True if the point should stop.

        ``said``: what came of it in an earlier life.
        """
        if said is not None:
            self._behind.append(lambda: self._judge(number, step, value))
            return said
        self._catch_up()
        return self._judge(number, step, value)

    def _judge(self, number: int, step: int, value: float) -> bool:
        trial = self._open.get(number)
        if trial is None:  # a point that is tried again after a failure
            return False
        trial.report(value, step)
        return bool(trial.should_prune())  # NumPy's own bool is no JSON

    def tell(self, number: int, told: Told, constraints: Mapping[str, float] | None = None) -> None:
        """``constraints``: name -> by how much it is broken; feasible at zero or below."""
        self._behind.append(lambda: self._tell(number, told, constraints or {}))
        if number in self._open:
            self._catch_up()
        self.told[number] = told
        if told.state == TrialState.COMPLETE and told.feasible and self._improves(told):
            self.best = number

    def untell(self, number: int) -> None:
        """Forget a failure, for the point is tried again. Optuna keeps it, and gets what comes of it as a new trial."""
        self.told.pop(number, None)

    def _tell(self, number: int, told: Told, constraints: Mapping[str, float]) -> None:
        values = list(told.values) if told.state == TrialState.COMPLETE else None
        if trial := self._open.pop(number, None):
            for name, excess in constraints.items():
                trial.set_constraint(name, excess)
            self.study.tell(trial, values, state=told.state)
            return
        failed = self.study.get_trials(deepcopy=False)[self._optuna_numbers[number]]
        point: dict[str, Any] = {"params": failed.params, "distributions": failed.distributions}
        again = optuna.create_trial(state=told.state, values=values, constraints=dict(constraints), **point)
        self.study.add_trial(again)
        self._optuna_numbers[number] = len(self.study.get_trials(deepcopy=False)) - 1

    def _improves(self, told: Told) -> bool:
        best = None if self.best is None else self.told[self.best].values[0]
        sign = 1 if self._objectives[0].goal == "minimize" else -1
        return best is None or sign * told.values[0] < sign * best

    def finished(self, number: int) -> optuna.trial.FrozenTrial:
        """Optuna's own record of a point."""
        self._catch_up()
        return copy.deepcopy(self.study.get_trials(deepcopy=False)[self._optuna_numbers[number]])

    def winners(self) -> list[int]:
        """The best point, or for several objectives the points of the front; of equal ones the first."""
        fit = {n: t.values for n, t in self.told.items() if t.state == TrialState.COMPLETE and t.feasible}
        signs = [1 if o.goal == "minimize" else -1 for o in self._objectives]
        losses = {n: tuple(s * v for s, v in zip(signs, values, strict=True)) for n, values in sorted(fit.items())}
        if len(signs) == 1:
            return [min(losses, key=losses.__getitem__)] if losses else []
        front = (n for n, loss in losses.items() if not any(_dominates(other, loss) for other in losses.values()))
        return list({space.point_id(self.asked[n]): n for n in reversed(list(front))}.values())[::-1]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def excess(value: float, bound: Bound) -> float:
    """By how much a metric breaks its bound; zero or below means that it is kept."""
    most, least = bound.at_most, bound.at_least
    over = [value - float(most)] if most is not None else []
    under = [float(least) - value] if least is not None else []
    return max(over + under)


def _plain(models: Mapping[str, Any]) -> dict[str, Any]:
    return {name: model.model_dump() for name, model in models.items()}

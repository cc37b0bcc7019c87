"""Small sweeps, and a search over them that is answered by a plain function."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.work import Ending, Idle, Report
from sweeps.planner import Configs, Planned
from sweeps.search import Search
from sweeps.spec import Sweep
from trainables.api import Cause, Outcome

Answer = Callable[[Planned], Sequence[float] | Outcome]


def sweep(**changes: Any) -> Sweep:
    tree: dict[str, Any] = {
        "sweep": "toy",
        "question": "Which a is better?",
        "trainable": "toy.py:train",
        "factors": {"a": [1, 2]},
        "nuisance": {"lr": {"low": 1e-3, "high": 1.0, "log": True}, "n": {"low": 1, "high": 5}},
        "objective": {"minimize": "loss"},
        "search": {"sampler": "random", "points": 6},
        "seeds": {"tune": 1, "confirm": 3},
    }
    return Sweep.model_validate(tree | changes)


def loss(planned: Planned) -> list[float]:
    """Best at lr = 0.1 a; three reports that fall to the final loss."""
    final = (planned.config.get("lr", 0.1) - 0.1 * planned.config.get("a", 1)) ** 2 + 1e-4 * planned.seed
    return [final + 2, final + 1, final]


@dataclass
class Life:
    """One life of a run: a search, what it recorded, and the trials that it gave out, in order."""

    sweep: Sweep
    answer: Answer = loss
    records: list[dict[str, Any]] = field(default_factory=list)
    started: list[Planned] = field(default_factory=list)
    configs: Configs = field(default_factory=lambda: Configs(resolve=lambda config: config))
    groups: list[list[Planned]] = field(default_factory=list)  # what was given out to be stacked
    now: float = 0.0  # stands still, except where nothing runs and all wait
    deadly: Callable[[Planned], bool] = lambda _: False  # who takes its whole process along

    def __post_init__(self) -> None:
        self.search = Search(self.sweep, self.configs, record=self._record, elapsed_s=lambda: self.now)
        for cell in self.search.cells:
            signature = self.search.studies[cell.id].signature
            self.records.append({"kind": "cell", "cell": cell.id, "search": signature})

    def _record(self, kind: str, **fields: Any) -> None:
        self.records.append(json.loads(json.dumps({"kind": kind, **fields})))

    def run(self, *, at_a_time: int = 1, trials: int | None = None) -> Life:
        """Run to the end, or until this many trials have ended; ``at_a_time`` end in the order in which they began."""
        running: list[Planned] = []
        while trials is None or len(self.started) < trials:
            planned = self.search.next() if len(running) < at_a_time else Idle.WAIT
            if isinstance(planned, Planned):
                running.append(planned)
                self.started.append(planned)
                self.search.started(planned.trial)
            elif running:
                self._finish(running.pop(0))
            elif planned is Idle.WAIT:
                self.now += 0.1
            else:
                assert planned is Idle.FINISHED
                break
        while running and trials is None:
            self._finish(running.pop(0))
        return self

    def run_groups(self, most: int = 512, sharing: int = 1) -> Life:
        """Run to the end in groups of at most ``most``, of which the members end in the order of their places."""
        while (first := self.search.next()) is not Idle.FINISHED:
            if first is Idle.WAIT:
                self.now += 0.1
                continue
            together = min(most, self.search.most_together(first.trial) or most)
            group = [first, *(self.search.alike(first, together - 1, sharing) if together > 1 else ())]
            self.groups.append(group)
            self.started += group
            for planned in group:
                self.search.started(planned.trial)
            dead = Ending(Outcome.LOST, "gone", cause=Cause.DIED, suspects=len(group))
            for planned in group:
                if any(map(self.deadly, group)):
                    self.search.ended(planned.trial, dead, 0.5)
                else:
                    self._finish(planned)
        return self

    def _finish(self, planned: Planned) -> None:
        answer = self.answer(planned)
        if isinstance(answer, Outcome):
            self.search.ended(planned.trial, Ending(answer, "as told"), 0.5)
            return
        goes_on = True
        for step, value in enumerate(answer, start=1):
            goes_on = goes_on and self.search.reported(planned.trial, [Report(step, {"loss": value})])
        self.search.ended(planned.trial, Ending(Outcome.DONE if goes_on else Outcome.PRUNED), 0.5)

    def resumed(self, upto: int | None = None, **changes: Any) -> Life:
        """A new life that replays the first ``upto`` records, of another sweep if there are changes."""
        tree = self.sweep.model_dump(exclude_defaults=True) | changes
        life = Life(
            Sweep.model_validate(tree) if changes else self.sweep, self.answer, configs=self.configs, deadly=self.deadly
        )
        life.search.replay(self.records[:upto])
        return life

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def trials(self) -> list[str]:
        return [planned.trial for planned in self.started]

"""A source of given orders, and a sink that writes files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.failures import Loss, decide, is_loss, most_together
from cluster.placement import fair_share
from cluster.work import Ending, Idle, Report
from trainables.api import Metrics, Order, Outcome

HERE = str(Path(__file__).parent)


def order(trial: str, function: str, config: dict[str, Any] | None = None, **more: Any) -> Order:
    """An order for a function of ``toys.py``."""
    more = {"seed": 0, "search_path": HERE, "objectives": ("loss",)} | more
    return Order(trial=trial, trainable=f"toys.py:{function}", config=config or {}, **more)


@dataclass
class FakeSource:
    """Gives out orders once each, and again those that are lost."""

    orders: list[Order]
    judge: Callable[[str, Report], bool] | None = None  # False prunes
    stop_when: Callable[[FakeSource], bool] = lambda _: False
    retries: int = 2
    given: dict[str, Order] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    reports: dict[str, list[Report]] = field(default_factory=dict)
    endings: dict[str, list[Ending]] = field(default_factory=dict)
    running: int = 0
    most_running: int = 0

    @property
    def stopping(self) -> bool:
        return self.stop_when(self)

    @property
    def judges_reports(self) -> bool:
        return self.judge is not None

    def next(self) -> Order | Idle:
        if not self.orders:
            return Idle.WAIT if self.running else Idle.FINISHED
        return self._give(self.orders.pop(0))

    def alike(self, trial: str, most: int, sharing: int = 1, idle: int = 1) -> Sequence[Order]:
        like = self.given[trial]
        same = [o for o in self.orders if o.shape and (o.shape, o.most) == (like.shape, like.most)]
        taken = same[: min(most, fair_share(1 + len(same), most + 1, sharing, idle) - 1)]
        self.orders = [order for order in self.orders if order not in taken]
        return [self._give(order) for order in taken]

    def _give(self, order: Order) -> Order:
        self.given[order.trial] = order
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        return order

    def started(self, trial: str) -> None:
        self.events.append(("started", trial))

    def reported(self, trial: str, reports: Sequence[Report]) -> bool:
        self.reports.setdefault(trial, []).extend(reports)
        return all(self.judge(trial, report) for report in reports) if self.judge else True

    def ended(self, trial: str, ending: Ending) -> None:
        self.events.append(("ended", trial))
        self.endings.setdefault(trial, []).append(ending)
        self.running -= 1
        losses = [Loss(ending.cause, ending.suspects) for ending in self.endings[trial] if is_loss(ending)]
        if decide(ending, trial, losses, self.retries).retry:
            order = self.given[trial]
            again = replace(order, attempt=order.attempt + 1, most=most_together(losses))
            self.orders.insert(0, again)

    def outcomes(self, trial: str) -> list[Outcome]:
        return [ending.outcome for ending in self.endings[trial]]

    def steps(self, trial: str) -> list[int]:
        return [report.step for report in self.reports.get(trial, [])]


@dataclass(frozen=True)
class FakeSink:
    """One JSON record per line."""

    path: Path

    def report(self, step: int, metrics: Metrics) -> None:
        self._write("report", step=step, metrics=dict(metrics))

    def image(self, tag: str, step: int, png: bytes) -> None:
        self._write("image", tag=tag, step=step, bytes=len(png))

    def note(self, key: str, value: Any) -> None:
        self._write("note", key=key, value=value)

    def sync(self) -> None:
        """Its files are safe enough."""

    def close(self, outcome: Outcome) -> None:
        self._write("close", outcome=str(outcome))

    def _write(self, kind: str, **record: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, "pid": os.getpid(), **record}) + "\n")


@dataclass(frozen=True)
class OpenFiles:
    folder: Path

    def __call__(self, order: Order) -> FakeSink:
        return FakeSink(self.folder / f"{order.trial}-{order.attempt}.jsonl")

    def records(self, trial: str, attempt: int = 1, kind: str = "") -> list[dict[str, Any]]:
        path = self.folder / f"{trial}-{attempt}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if kind in ("", line["kind"])]

    def steps(self, trial: str, attempt: int = 1) -> list[int]:
        return [record["step"] for record in self.records(trial, attempt, "report")]

"""Which states of a trial are kept: a rule, and what it says of the states that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FALLBACK = 2  # states that a running trial has at least: the newest, and one to go back to if that is damaged


@dataclass(frozen=True)
class Keep:
    """The rule. The newest state is always among those that stay."""

    last: int = 2  # so many of the newest
    best: int = 0  # so many with the best values of ``metric``, of the states that were saved
    metric: str = ""
    maximize: bool = False
    every_steps: int = 0  # the first state at or after each multiple of this


LAST_TWO = Keep()


@dataclass(frozen=True)
class Stored:
    """A state that is there. ``value``: of the metric of the rule, if that is known."""

    step: int
    value: float | None = None


def obsolete(states: Sequence[Stored], rule: Keep, *, running: bool) -> set[int]:
    """The steps of the states that may go."""
    newest_first = sorted((state.step for state in states), reverse=True)
    kept = set(newest_first[: max(rule.last, FALLBACK if running else 1)])
    valued = [state for state in states if state.value is not None and state.value == state.value]
    best_first = sorted(valued, key=lambda state: (_loss(state, rule), state.step))
    kept |= {state.step for state in best_first[: rule.best]}
    if rule.every_steps:
        first = {step // rule.every_steps: step for step in newest_first}
        kept |= {step for number, step in first.items() if number > 0}
    return set(newest_first) - kept


def _loss(state: Stored, rule: Keep) -> float:
    assert state.value is not None
    return -state.value if rule.maximize else state.value

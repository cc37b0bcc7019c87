"""The confirm replicates, and what a metric is worth in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims import claims_of
from analysis.frames import Run
from analysis.splits import quantity, split

__all__ = [
    "Objective",
    "answer_metric",
    "confirms",
    "objectives",
    "replicates",
    "shown_metrics",
    "split",
    "values",
]


@dataclass(frozen=True)
class Objective:
    metric: str
    maximize: bool
    at: Any = "last"  # "last", "best" or {"mean_of_last": k}


def objectives(lock: Mapping[str, Any]) -> list[Objective]:
    found = lock.get("objective") or []
    return [
        Objective(one.get("maximize") or one["minimize"], "maximize" in one, one.get("at") or "last")
        for one in (found if isinstance(found, list) else [found])
    ]


def replicates(run: Run) -> pd.DataFrame:
    """The finished confirm trials of the winners, one row per cell, point and seed."""
    trials = confirms(run)
    return trials.loc[trials["outcome"] == "done"]


def confirms(run: Run) -> pd.DataFrame:
    """The confirm trials of the winners, finished or not. A cell without a recorded winner counts whole."""
    trials = run.trials.loc[run.trials["phase"] == "confirm"]
    # A sweep that was edited and run into the same folder may have planned a replicate twice: the newer one counts.
    trials = trials.loc[~trials.duplicated(["cell", "point", "seed"], keep="last")]
    won = set(zip(run.winners["cell"], run.winners["point"], strict=True))
    pairs = zip(trials["cell"], trials["point"], strict=True)
    undecided = ~trials["cell"].isin(run.winners["cell"])
    return trials.loc[np.array([pair in won for pair in pairs], dtype=bool) | undecided]


def values(run: Run, metric: str) -> dict[str, float]:
    """What the metric is worth, by trial: its last report, or what the objective says if it is the objective.

    A trial that never reported it is absent. NaN means that it reported NaN.
    """
    rows = run.reports.loc[run.reports["metric"] == metric, ["trial", "value"]]
    at, maximize = next(((o.at, o.maximize) for o in objectives(run.lock) if o.metric == metric), ("last", True))
    if at == "best":
        found = rows.groupby("trial", observed=True).agg("max" if maximize else "min")
    elif isinstance(at, Mapping):
        from_end = rows.groupby("trial", observed=True).cumcount(ascending=False)
        last = rows.loc[from_end < int(at["mean_of_last"])]
        found = last.groupby("trial", observed=True).agg(lambda v: v.mean(skipna=False))
    else:
        found = rows.loc[~rows.duplicated("trial", keep="last")].set_index("trial")
    return dict(zip(found.index, found["value"].tolist(), strict=True))


def answer_metric(run: Run) -> Objective | None:
    """What the answer is given in: the test metric that belongs to the objective if there is one, or the objective."""
    for objective in objectives(run.lock)[:1]:
        known = set(run.reports["metric"].unique())
        base = quantity(objective.metric)
        tests = sorted(m for m in known if split(m) == "test" and quantity(m) == base)
        return Objective(tests[0], objective.maximize) if tests else objective
    return None


def shown_metrics(run: Run) -> list[str]:
    """The metrics of the answer table: the answer's, the objectives, those of claims, those of the test split."""
    answer = answer_metric(run)
    reported = set(run.reports["metric"].unique())
    always = [*([answer.metric] if answer else []), *(o.metric for o in objectives(run.lock))]
    claimed = [m for claim in claims_of(run.lock) for m in claim.all_metrics if m in reported]
    return list(dict.fromkeys([*always, *claimed, *sorted(m for m in reported if split(m) == "test")]))

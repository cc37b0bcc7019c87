"""What the winners of the search are worth on fresh seeds, and whether these rank the cells alike."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis import stats
from analysis.frames import Run
from analysis.replicates import Objective, objectives, replicates, values
from analysis.tuned import tuned
from analysis.wording import count, estimate, plain

_FEWEST_CELLS = 5


def only(run: Run) -> Objective | None:
    """The objective, if there is one and not several."""
    found = objectives(run.lock)
    return found[0] if len(found) == 1 else None


def fresh(run: Run, objective: Objective) -> dict[tuple[str, str], stats.Estimate]:
    """The mean of the objective over the confirm seeds, by cell and winner."""
    known = values(run, objective.metric)
    found: dict[tuple[str, str], list[float]] = {}
    done = replicates(run)
    for cell, point, trial in zip(done["cell"], done["point"], done["trial"], strict=True):
        if trial in known:
            found.setdefault((str(cell), str(point)), []).append(known[trial])
    return {key: stats.mean(y) for key, y in found.items()}


def optimism(run: Run) -> pd.DataFrame:
    """The tuned value of every winner beside what it is on fresh seeds, by the same metric.

    Columns:
        cell, point.
        tuned: its value in the search.
        confirmed: its mean over the confirm seeds.
        optimism, low, high: confirmed minus tuned, with the 95 % interval of the mean over the confirm seeds.
        seeds: confirm seeds.
    """
    columns = ["cell", "point", "tuned", "confirmed", "optimism", "low", "high", "seeds"]
    objective, rows = only(run), []
    if objective is not None:
        known = tuned(run, objective)
        before = dict(zip(zip(known["cell"], known["point"], strict=True), known["value"], strict=True))
        for (cell, point), mean in fresh(run, objective).items():
            value = before.get((cell, point), math.nan)
            low, high = mean.interval()
            row = (cell, point, value, mean.value, mean.value - value, low - value, high - value, mean.count)
            rows.append(row)
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:7], float))


def rank_agreement(run: Run) -> pd.DataFrame:
    """Whether the cells that tuned best also confirm best. One row; none with several objectives.

    Columns:
        cells.
        tau, low, high: Kendall's tau-b between the tuned values of the cells' winners and their means over the confirm
            seeds; its 95 % interval is by Fisher's z with the variance of Fieller, Hartley & Pearson (1957, Biometrika
            44, 470-481), half a pair away from full agreement. NaN with too few cells.
        optimism, optimism_low, optimism_high: confirmed minus tuned, the mean over the cells. The cells share
            their seeds, so their errors are taken to go together, which makes the interval wide rather than narrow.
        note: why there is no tau.
    """
    columns = ["cells", "tau", "low", "high", "optimism", "optimism_low", "optimism_high", "note"]
    target = only(run)
    if target is None:
        return pd.DataFrame(columns=columns)
    found = optimism(run)
    found = found.loc[np.isfinite(found["optimism"].astype(float))]
    cells = len(found)
    mean = _over_cells(list(fresh(run, target).values()), found["optimism"])
    note = "" if cells >= _FEWEST_CELLS else f"{count(cells, 'cell')}; it takes {_FEWEST_CELLS}"
    tau = math.nan if note else kendall(found["tuned"].to_numpy(), found["confirmed"].to_numpy())
    if not note and math.isnan(tau):
        note = "the cells do not differ"
    row = (cells, tau, *tau_interval(tau, cells), mean.value, *mean.interval(), note)
    return pd.DataFrame([row], columns=columns)


def _over_cells(means: list[stats.Estimate], optimism: pd.Series) -> stats.Estimate:
    """The mean over cells that are given, whose errors may be as alike as they can be."""
    repeated = [mean for mean in means if mean.count > 1]
    error = sum(mean.error for mean in repeated) / len(repeated) if repeated else math.nan
    freedom = min((mean.freedom for mean in repeated), default=0)
    value = float(optimism.mean()) if len(optimism) else math.nan
    return stats.Estimate(value, error, freedom, len(optimism))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Tau-b (Kendall, 1945, Biometrika 33, 239-251); NaN if one side is constant."""
    a, b = (np.sign(v[:, None] - v)[np.triu_indices(len(v), 1)] for v in (x, y))
    scale = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else math.nan


def tau_interval(tau: float, pairs_of: int, level: float = stats.LEVEL) -> tuple[float, float]:
    """See ``rank_agreement``; ``pairs_of``: so many cells, 5 at least."""
    if math.isnan(tau):
        return math.nan, math.nan
    most = 1 - 1 / (pairs_of * (pairs_of - 1) / 2)
    z, off = math.atanh(max(-most, min(most, tau))), stats.quantile(level, math.inf) * math.sqrt(0.437 / (pairs_of - 4))
    low, high = math.tanh(z - off), math.tanh(z + off)
    return (-1.0 if tau < -most else low), (1.0 if tau > most else high)


def sentences(run: Run) -> Iterator[str]:
    objective = only(run)
    for row in rank_agreement(run).to_dict("records"):
        if objective is not None and math.isfinite(row["optimism"]):
            yield _of_optimism(row["optimism"], row["optimism_low"], row["optimism_high"], row["cells"], objective)
        if math.isfinite(row["tau"]):
            agreement = estimate(row["tau"], row["low"], row["high"])
            yield f"The search and the fresh seeds rank the cells with a Kendall correlation of {agreement}."


def _of_optimism(value: float, low: float, high: float, cells: int, objective: Objective) -> str:
    sign = 1 if objective.maximize else -1
    if max(sign * low, sign * high) < 0:
        text = "The winners are worse on fresh seeds than they looked in the search"
    elif min(sign * low, sign * high) > 0:
        text = "The winners are better on fresh seeds than they looked in the search"
    else:
        text = "Whether the search made its winners look better than they are cannot be told"
    change = estimate(value, low, high)
    return f"{text}: {plain(objective.metric)} changes by {change} on average over {count(cells, 'cell')}."

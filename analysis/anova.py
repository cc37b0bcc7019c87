"""The share of each parameter by Optuna's fANOVA and PED-ANOVA, of points that are brought to Optuna's terms."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.replicates import Objective

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

FEWEST = 12  # points
_DEPTH = 5  # of the trees of fANOVA: its cost grows with their leaves
_TOP = (0.1, 5)  # of the points, and at least so many: what PED-ANOVA calls the best

Shares = Mapping[str, float]
Space = Mapping[str, "BaseDistribution"]


@dataclass(frozen=True, eq=False)
class Points:
    """Tuned points of one cell or of several.

    Attributes:
        loss: lower is better.
        known: whether the loss is the objective, not just "worse than that".
        ids: of points; the same id in several cells is the same point.
    """

    loss: np.ndarray
    known: np.ndarray
    ids: np.ndarray
    params: np.ndarray
    space: Space

    def __getitem__(self, rows: np.ndarray) -> Points:
        return replace(self, **{name: getattr(self, name)[rows] for name in ("loss", "known", "ids", "params")})

    def having(self, name: str) -> np.ndarray:
        return np.array([name in params for params in self.params], dtype=bool)


def shares(method: str, points: Points, names: list[str], trees: int) -> Shares:
    """Parameter -> share. Absent if all values are the same, or if nothing tells the best points from the others."""
    if not names or len(points.loss) < FEWEST // 2 or np.ptp(points.loss) == 0:
        return {}
    return _ped_anova(points, names) if method == "ped-anova" else _fanova(points, names, trees)


def _fanova(points: Points, names: list[str], trees: int) -> Shares:
    from optuna.importance import FanovaImportanceEvaluator

    found: dict[str, float] = {}
    for there in {points.having(name).tobytes(): points.having(name) for name in names}.values():
        some = points[there]
        everywhere = [name for name in names if some.having(name).all()]
        if len(some.loss) < FEWEST // 2 or np.ptp(some.loss) == 0:
            continue
        evaluator = FanovaImportanceEvaluator(n_trees=trees, max_depth=_DEPTH, seed=0)
        try:
            shares = evaluator.evaluate(_study(some), params=everywhere)
        except RuntimeError:  # no tree explains any variance, as if all points have one value of each parameter
            continue
        found |= {name: float(shares[name]) for name in everywhere if (points.having(name) == there).all()}
    return found


def _ped_anova(points: Points, names: list[str]) -> Shares:
    from optuna.importance import PedAnovaImportanceEvaluator

    share, least = _TOP
    top = min(0.5, max(share, least / len(points.loss)))
    there = [name for name in names if points.having(name).any()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ties and small regimes, which the intervals show
        shares = PedAnovaImportanceEvaluator(target_quantile=top).evaluate(_study(points), params=there)
    whole = sum(shares.values())
    return {name: float(shares[name] / whole) for name in there} if whole > 0 else {}


def _study(points: Points) -> optuna.Study:
    import optuna

    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(said)
    study.add_trials(
        [
            optuna.trial.create_trial(params=params, distributions={k: points.space[k] for k in params}, value=loss)
            for params, loss in zip(points.params, points.loss.tolist(), strict=True)
        ]
    )
    return study


# --- from the ledger to Optuna's terms -------------------------------------------------------------------------------


def space_of(ranges: Mapping[str, Mapping[str, Any]], found: pd.DataFrame) -> dict[str, BaseDistribution]:
    """As wide as the ranges and the values, which may be older than the ranges. Logarithms are taken here."""
    given = {name: [params[name] for params in found["params"] if name in params] for name in ranges}
    return {name: _distribution(space, given[name]) for name, space in ranges.items() if given[name]}


def _distribution(space: Mapping[str, Any], given: list[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if "choices" in space:
        return CategoricalDistribution(list(dict.fromkeys(json.dumps(v) for v in [*space["choices"], *given])))
    values = [_place(space, v) for v in (space["low"], space["high"], *given)]
    if all(isinstance(v, int) for v in values) and not space.get("step"):
        return IntDistribution(min(values), max(values))
    return FloatDistribution(float(min(values)), float(max(values)))


def _place(space: Mapping[str, Any], value: Any) -> Any:
    return json.dumps(value) if "choices" in space else math.log(value) if space.get("log") else value


def points_of(
    rows: pd.DataFrame, objective: Objective, ranges: Mapping[str, Mapping[str, Any]], space: Space
) -> Points:
    """Of one cell, in the columns of ``tuned``; only states that say something about the objective."""
    loss = _fenced(rows["value"].to_numpy(dtype=float) * (-1 if objective.maximize else 1))
    params = np.empty(len(rows), dtype=object)
    params[:] = [{k: _place(ranges[k], v) for k, v in one.items() if k in space} for one in rows["params"]]
    known = rows["state"].isin(["done", "diverged"]).to_numpy(dtype=bool)
    return Points(loss, known, rows["point"].to_numpy(dtype=object), params, space)


def _fenced(loss: np.ndarray) -> np.ndarray:
    """What is far on the bad side, or missing, lies on the outer fence; where there is none, at the worst value."""
    there = loss[np.isfinite(loss)]
    if not len(there):
        return np.zeros(len(loss))
    low, high = np.quantile(there, [0.25, 0.75])
    fence = high + 3 * (high - low) if high > low else there.max()
    worst = fence if (there > fence).any() or len(there) < len(loss) else there.max()
    return np.minimum(np.where(np.isnan(loss), worst, loss), worst)


def pooled(cells: list[Points]) -> Points:
    """All cells as one, each with median 0 and quartiles 1 apart."""
    parts = [(c.known, c.ids, c.params) for c in cells]
    known, ids, params = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Points(np.concatenate([_standard(c.loss) for c in cells]), known, ids, params, cells[0].space)


def _standard(loss: np.ndarray) -> np.ndarray:
    low, middle, high = np.quantile(loss, [0.25, 0.5, 0.75])
    return (loss - middle) / ((high - low) or loss.std() or 1.0)

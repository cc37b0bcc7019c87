"""Several parts of one sweep as one run: two machines that shared its cells, a run and its copy that went further.

Runs merge as sets. Trials are the same if their ids are, as the id is made of config, trainable and seed; of a trial
that several folders hold, the one that came furthest is kept, whole: a final ending before any other, then the most
attempts, then the first folder. Runs of other code are refused, because then equal ids would not mean equal trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.frames import Run
from analysis.records import FINAL, LedgerError


def merged(runs: Mapping[str, Run]) -> Run:
    """One run out of all; ``runs`` are by name. Lock and environment are those of the first.

    Raises:
        LedgerError: they are of different sweeps, trainables or code.
    """
    first, *rest = runs.values()
    if not rest:
        return first
    _refuse_strangers(runs)
    parts = _kept(list(runs.values()))
    points = _stacked(parts, "points").drop_duplicates(["cell", "point"]).reset_index(drop=True)
    cells = pd.concat([run.cells for run in parts])
    return replace(
        first,
        cells=cells.loc[~cells.index.duplicated()],
        trials=_stacked(parts, "trials"),
        attempts=_stacked(parts, "attempts"),
        points=points,
        winners=_winners(_stacked(parts, "winners"), points, _goals(first)),
        judged=_stacked(parts, "judged"),
        looks=_stacked(parts, "looks"),
        reports=_reports(parts),
        notes=_stacked(parts, "notes"),
        events=_stacked(parts, "events").sort_values("time", kind="stable", ignore_index=True),
        torn=sum(run.torn for run in parts),
    )


def _refuse_strangers(runs: Mapping[str, Run]) -> None:
    kinds: dict[str, Callable[[Run], str]] = {
        "sweep": lambda run: str(run.lock.get("sweep", "")),
        "trainable": lambda run: str(run.lock.get("trainable", "")),
        "code": lambda run: run.code,
        "trials": lambda run: "simulated" if run.simulated else "real",
    }
    (name, first), *others = runs.items()
    for kind, of in kinds.items():
        for other, run in others:
            if of(run) and of(first) and of(run) != of(first):
                found = f"{other} has {kind} {of(run)}, {name} has {of(first)}"
                raise LedgerError(f"not parts of one sweep: {found}; `assay compare` holds such runs side by side")


def _kept(runs: Sequence[Run]) -> list[Run]:
    """The runs without what another one has better. The numbers of their points go on from one run to the next."""
    ranks = pd.concat([_rank(run).assign(run=n) for n, run in enumerate(runs)])
    best = ranks.sort_values(["final", "attempts", "run"], ascending=[False, False, True], kind="stable")
    best = best.drop_duplicates("trial")
    parts, offset = [], 0
    for n, run in enumerate(runs):
        mine = set(best.loc[best["run"] == n, "trial"])
        by_trial = {name: _only(getattr(run, name), mine) for name in ("trials", "attempts", "reports", "notes")}
        numbered = {name: _shifted(getattr(run, name), offset) for name in ("points", "judged")}
        parts.append(replace(run, **by_trial, **numbered))
        offset += max(run.points["number"].tolist(), default=-1) + 1
    return parts


def _rank(run: Run) -> pd.DataFrame:
    return run.trials[["trial", "attempts"]].assign(final=run.trials["outcome"].isin(FINAL))


def _only(frame: pd.DataFrame, trials: set[str]) -> pd.DataFrame:
    return frame.loc[frame["trial"].isin(list(trials))]


def _shifted(frame: pd.DataFrame, offset: int) -> pd.DataFrame:
    return frame.assign(number=frame["number"] + offset)


def _stacked(runs: Sequence[Run], name: str) -> pd.DataFrame:
    """The frames of all runs on top of each other. Empty ones are left out: they would blur the types."""
    parts = [getattr(run, name) for run in runs]
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]


def _reports(runs: Sequence[Run]) -> pd.DataFrame:
    """As in one run: categories, and sorted by trial, step and metric."""
    parts = [run.reports for run in runs]
    rows = pd.concat([part.astype({"trial": object, "metric": object}) for part in parts], ignore_index=True)
    rows = rows.astype({"trial": "category", "metric": "category"})
    order = np.lexsort((rows["metric"].cat.codes, rows["step"], rows["trial"].cat.codes))
    return rows.iloc[order].reset_index(drop=True)


def _goals(run: Run) -> list[bool]:
    """Of each objective: whether it is maximised."""
    found = run.lock.get("objective") or []
    return ["maximize" in one for one in (found if isinstance(found, list) else [found])]


def _winners(winners: pd.DataFrame, points: pd.DataFrame, maximize: Sequence[bool]) -> pd.DataFrame:
    """Of each cell the winners that no other winner of the cell beats; with one objective that is the best."""
    told = points.set_index(["cell", "point"])["values"]
    winners = winners.drop_duplicates(["cell", "point"]).reset_index(drop=True)
    signs = np.where(maximize, -1.0, 1.0)
    losses = [
        signs * told.get(key) if _is_told(told.get(key), signs) else None
        for key in zip(winners["cell"], winners["point"], strict=True)
    ]
    kept = [
        not any(_beats(losses[j], losses[i]) for j in np.flatnonzero(winners["cell"] == winners["cell"][i]))
        for i in range(len(winners))
    ]
    return winners.loc[kept].reset_index(drop=True)


def _is_told(values: object, signs: np.ndarray) -> bool:
    return isinstance(values, list) and len(values) == len(signs)


def _beats(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether ``a`` is nowhere worse and somewhere better. What was never told beats nothing."""
    if a is None:
        return False
    return b is None or (bool(np.all(a <= b)) and bool(np.any(a < b)))

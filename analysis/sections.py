"""The parts of a report below its figures: outcomes and cost, errors, setup, environment, and the tables as files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import yaml

from analysis import budget, importance
from analysis.answers import Row
from analysis.frames import Run, beside
from analysis.records import LOCK_FILE
from analysis.replicates import shown_metrics, values
from analysis.wording import DASH, count, error_line, number, param, plain, seconds

_OUTCOMES = ("done", "pruned", "diverged", "failed", "cancelled", "lost", "running", "planned")
_ERRORS = 40  # messages that are listed


def cost(run: Run) -> str:
    """``120 trials in 122 attempts, 2 h 5 min of trial time, 1.04 GPU-hours, 31 min 2 s from start to end``."""
    attempts = sum(run.trials["attempts"].tolist())
    more = f" in {attempts:,} attempts" if attempts > len(run.trials) else ""
    spent = sum(run.trials["seconds"].tolist())
    gpus = f", {number(spent / 3600 * gpus_per_trial(run.lock), 3)} GPU-hours" if gpus_per_trial(run.lock) else ""
    driver = sum(s for s in run.events["seconds"].tolist() if isinstance(s, int | float) and math.isfinite(s))
    whole = f", {seconds(driver)} from start to end" if driver else ""
    lost = f"; {losses(run)}" if losses(run) else ""
    return f"{count(len(run.trials), 'trial')}{more}, {seconds(spent)} of trial time{gpus}{whole}{lost}"


def gpus_per_trial(lock: Mapping[str, Any]) -> float:
    """Those that the sweep asks for, of all workers of a trial."""
    resources = lock.get("resources") or {}
    return float(resources.get("gpus") or 0) * max(1, int(resources.get("workers") or 0))


def outcomes(run: Run, table: list[Row]) -> dict[str, Any]:
    """How many trials of each cell ended how (only the outcomes that there are), and the hours that they took."""
    counts = run.trials.groupby(["cell", "outcome"]).size().to_dict()
    spent_s = run.trials.groupby("cell").agg(spent=("seconds", "sum"))["spent"].to_dict()
    hours = {cell: float(total) / 3600 for cell, total in spent_s.items()}
    kinds = [o for o in _OUTCOMES if any(outcome == o for _, outcome in counts)]
    gpus = gpus_per_trial(run.lock)
    body = []
    for cell, name in {row.cell: plain(row.name, 60) for row in table}.items():
        spent = [number(hours.get(cell, 0.0), 3)] + ([number(hours.get(cell, 0.0) * gpus, 3)] if gpus else [])
        body.append((name, [*(counts.get((cell, kind), 0) for kind in kinds), *spent]))
    columns = [*kinds, "trial-hours", *(["GPU-hours"] if gpus else [])] if kinds else []
    return {"kinds": columns, "rows": body}


def errors(run: Run) -> list[tuple[str, str, int, str]]:
    """Outcome, message, how often, and one trial of it; the frequent ones first."""
    bad = run.trials.loc[run.trials["outcome"].isin(["diverged", "failed", "lost"]), ["outcome", "error", "trial"]]
    bad = bad.assign(line=[error_line(error) for error in bad["error"]])
    groups = [
        (str(outcome), str(line), len(rows), plain(rows["trial"].iloc[0]))
        for (outcome, line), rows in bad.groupby(["outcome", "line"])
    ]
    ordered = sorted(groups, key=lambda group: -group[2])
    rest = ordered[_ERRORS:]
    more = [("...", f"{len(rest)} more messages", sum(n for *_, n, _ in rest), "")] if rest else []
    return ordered[:_ERRORS] + more


def losses(run: Run) -> str:
    """``5 attempts were lost (3 node lost, 2 process died), 2 failed (1 error, 1 out of memory)``; empty if none."""
    known = run.attempts[run.attempts["cause"] != ""]
    parts = []
    for outcome, words in (("lost", "lost and made again"), ("failed", "failed")):
        causes = known.loc[known["outcome"] == outcome, "cause"].value_counts()
        listed = ", ".join(f"{number} {plain(cause)}" for cause, number in sorted(causes.to_dict().items()))
        parts += [f"{count(int(causes.sum()), 'attempt')} {words} ({listed})"] if len(causes) else []
    return "; ".join(parts)


def setup(lock: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts of the sweep that a reader of its tables asks for."""
    parts = {"trainable": lock.get("trainable")}
    for name in ("fixed", "factors", "nuisance", "search", "scheduler", "seeds", "resources"):
        parts[name] = lock.get(name)
    return [(k, plain(_compact(v), 400)) for k, v in parts.items() if v]


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False).replace('"', "")


def objective(metric: str, maximize: bool, at: Any) -> str:
    when = f"mean of the last {at['mean_of_last']} reports" if isinstance(at, Mapping) else f"{at} report"
    return f"{'maximize' if maximize else 'minimize'} {plain(metric)} ({when})"


def started(run: Run) -> str:
    times = [t for t in run.events["time"] if isinstance(t, int | float)]
    return datetime.fromtimestamp(min(times), UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0") if times else ""


def lock_text(run: Run) -> str:
    """The lock file as it is, or what is known of it."""
    path = run.path / LOCK_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return yaml.safe_dump(dict(run.lock), sort_keys=False, allow_unicode=True) if run.lock else ""


def environment(run: Run) -> list[tuple[str, str]]:
    return [(plain(k), plain(v, 300) or DASH) for k, v in _flat(run.environment)]


def _flat(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(values, Mapping):
        return [pair for k, v in values.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))]
    if isinstance(values, list):
        return [(prefix, ", ".join(param(v) for v in values))]
    return [(prefix, number(values) if isinstance(values, float) else param(values))]


def answer_frame(run: Run, table: list[Row]) -> pd.DataFrame:
    """One row per cell and confirmed point; of each metric mean, 95 % interval and number of seeds."""
    records = []
    for row in table:
        record: dict[str, Any] = {"cell": row.cell, **row.levels, "point": row.point, **row.params}
        for metric in shown_metrics(run):
            found = row.values[metric]
            low, high = found.interval()
            record |= {
                metric: found.value,
                f"{metric} low": low,
                f"{metric} high": high,
                f"{metric} seeds": found.count,
            }
        records.append(record)
    return _marked(pd.DataFrame.from_records(records), run)


def _marked(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Tables lead a life of their own, so those of a simulated run say in every row what they are."""
    return frame.assign(simulated=True) if run.simulated else frame


def trials_frame(run: Run) -> pd.DataFrame:
    """One row per trial: what was asked for, what became of it, and what each metric was worth."""
    chosen = pd.DataFrame(run.trials["params"].tolist(), index=run.trials.index)
    metrics = sorted(run.reports["metric"].unique())
    worth = pd.DataFrame({m: values(run, m) for m in metrics}).reindex(run.trials["trial"]).set_axis(run.trials.index)
    frame = run.trials.drop(columns=["params", "config"])
    return _marked(beside(beside(frame, chosen, "nuisance"), worth, "metric"), run)


def diagnostics(run: Run) -> list[str]:
    """Sentences on what mattered and whether the budget of the search sufficed."""
    tuned = run.trials.loc[(run.trials["phase"] == "tune") & (run.trials["outcome"] == "done")]
    return [*importance.sentences(run), *budget.sentences(run)] if len(tuned) else []

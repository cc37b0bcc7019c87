"""The report of a run: one self-contained page, the same in Markdown, and the numbers as CSV.

Nothing in it depends on when or where it is written: the same ledger gives the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from analysis.answers import Row, places, rows, sentence
from analysis.cautions import cautions
from analysis.frames import Run, beside, load
from analysis.plates import Plate, plates, swatches
from analysis.replicates import objectives, shown_metrics, values
from analysis.verdicts import Verdict, verdicts
from analysis.wording import (
    DASH,
    count,
    error_line,
    estimate,
    markdown,
    number,
    param,
    params,
    plain,
    seconds,
)

_OUTCOMES = ("done", "pruned", "diverged", "failed", "cancelled", "lost", "running", "planned")


@dataclass(frozen=True)
class Summary:
    """What the report says, as text, for a terminal or a page."""

    sweep: str
    question: str
    source: str
    answer: str
    header: tuple[str, ...]  # of the answer table
    table: tuple[tuple[str, ...], ...]
    rows: tuple[str, ...]  # what each row is about: a cell, in few words
    metrics: tuple[str, ...]  # those of the columns between the factors and the seeds
    verdicts: tuple[tuple[str, str, str], ...]  # verdict, claim, effect or reason
    cautions: tuple[str, ...]
    cost: str


def summary(run: Run) -> Summary:
    return _summary(run, rows(run), verdicts(run))


def _summary(run: Run, table: list[Row], judged: list[Verdict]) -> Summary:
    metrics = shown_metrics(run)
    return Summary(
        sweep=plain(run.lock.get("sweep") or "sweep"),
        question=plain(run.lock.get("question") or ""),
        source=plain(run.lock.get("source") or ""),
        answer=sentence(run, table),
        header=(*(plain(name, 60) for name in (*run.cells.columns, *metrics)), "seeds", "tuned point"),
        table=_body(table, metrics),
        rows=tuple(plain(row.name, 60) for row in table),
        metrics=tuple(plain(name, 60) for name in metrics),
        verdicts=tuple((v.verdict, plain(v.claim.name), _finding(v)) for v in judged),
        cautions=tuple(cautions(run, table)),
        cost=_cost(run),
    )


def _body(table: list[Row], metrics: list[str]) -> tuple[tuple[str, ...], ...]:
    digits = {metric: places(table, metric) for metric in metrics}
    return tuple(_cells(row, digits) for row in table)


def _cells(row: Row, digits: Mapping[str, int]) -> tuple[str, ...]:
    means = ((row.values[metric], n) for metric, n in digits.items())
    shown = (estimate(mean.value, *mean.interval(), places=n) for mean, n in means)
    seeds = f"{row.replicates}" if row.replicates == row.planned else f"{row.replicates} of {row.planned}"
    levels = (plain(level, 60) for level in row.levels.values())
    return (*levels, *shown, seeds, params(dict(row.params)) or DASH)


def _finding(verdict: Verdict) -> str:
    if math.isnan(verdict.effect):
        return verdict.reason
    value = f"{plain(verdict.claim.effect())} {estimate(verdict.effect, verdict.low, verdict.high)}"
    if verdict.reason:
        return f"{value}; {verdict.reason}"
    p = "p < 0.001" if verdict.p < 0.001 else f"p = {verdict.p:.2g}"
    return f"{value} at {100 * verdict.level:.3g} %, {p}, {count(verdict.replicates, 'seed')}"


def _cost(run: Run) -> str:
    attempts = sum(run.trials["attempts"].tolist())
    more = f" in {attempts:,} attempts" if attempts > len(run.trials) else ""
    spent = seconds(sum(run.trials["seconds"].tolist()))
    driver = sum(s for s in run.events["seconds"].tolist() if isinstance(s, int | float) and math.isfinite(s))
    whole = f", {seconds(driver)} from start to end" if driver else ""
    return f"{count(len(run.trials), 'trial')}{more}, {spent} of trial time{whole}"


def write(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run folder, finished or not, and return its page."""
    found, folder = load(run), out or run / "report"
    table, judged = rows(found), verdicts(found)
    context = _context(found, table, judged)
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "report.md", _environment().get_template("report.md.jinja").render(context))
    _save(folder / "answer.csv", _answer_frame(found, table).to_csv(index=False))
    _save(folder / "trials.csv", _trials_frame(found).to_csv(index=False))
    page = folder / "index.html"
    _save(page, _environment().get_template("report.html.jinja").render(context))
    return page


def _save(path: Path, text: str) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", errors="replace", newline="")
    temporary.replace(path)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": markdown, "soft": _soft}
    return environment


def _soft(text: str) -> Markup:
    """A dotted or slashed name that may be broken after each part."""
    return Markup(re.sub(r"([./_])", r"\1<wbr>", str(escape(text))))  # noqa: S704 - escaped just here


def _context(run: Run, table: list[Row], judged: list[Verdict]) -> dict[str, Any]:
    figures: list[Plate] = plates(run, table, judged)
    return {
        "summary": _summary(run, table, judged),
        "factors": len(run.cells.columns),
        "cells": [row.cell for row in table],
        "swatches": swatches(table),
        "legend": {row.cell: plain(row.name, 60) for row in table},
        "figures": figures,
        "objectives": [_objective(o.metric, o.maximize, o.at) for o in objectives(run.lock)],
        "setup": _setup(run.lock),
        "started": _started(run),
        "outcomes": _outcomes(run, table),
        "errors": _errors(run),
        "environment": [(plain(k), plain(v, 300)) for k, v in _flat(run.environment)],
    }


def _objective(metric: str, maximize: bool, at: Any) -> str:
    when = f"mean of the last {at['mean_of_last']} reports" if isinstance(at, Mapping) else f"{at} report"
    return f"{'maximize' if maximize else 'minimize'} {plain(metric)} ({when})"


def _setup(lock: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts of the sweep that a reader of its tables asks for."""
    parts = {"trainable": lock.get("trainable")}
    for name in ("fixed", "factors", "nuisance", "search", "scheduler", "seeds"):
        parts[name] = lock.get(name)
    return [(k, plain(_compact(v), 400)) for k, v in parts.items() if v]


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False).replace('"', "")


def _started(run: Run) -> str:
    times = [t for t in run.events["time"] if isinstance(t, int | float)]
    return datetime.fromtimestamp(min(times), UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0") if times else ""


def _outcomes(run: Run, table: list[Row]) -> dict[str, Any]:
    """How many trials of each cell ended how; only the outcomes that there are."""
    counts = run.trials.groupby(["cell", "outcome"]).size().to_dict()
    kinds = [o for o in _OUTCOMES if any(outcome == o for _, outcome in counts)]
    called = {row.cell: plain(row.name, 60) for row in table}
    body = [(name, [counts.get((cell, kind), 0) for kind in kinds]) for cell, name in called.items()]
    return {"kinds": kinds, "rows": body}


def _errors(run: Run) -> list[tuple[str, str, int, str]]:
    """Outcome, message, how often, and one trial of it; the frequent ones first."""
    bad = run.trials.loc[run.trials["outcome"].isin(["diverged", "failed", "lost"]), ["outcome", "error", "trial"]]
    bad = bad.assign(line=[error_line(error) for error in bad["error"]])
    groups = [
        (str(outcome), str(line), len(rows), plain(rows["trial"].iloc[0]))
        for (outcome, line), rows in bad.groupby(["outcome", "line"])
    ]
    return sorted(groups, key=lambda group: -group[2])


def _flat(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(values, Mapping):
        return [pair for k, v in values.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))]
    if isinstance(values, list):
        return [(prefix, ", ".join(param(v) for v in values))]
    return [(prefix, number(values) if isinstance(values, float) else param(values))]


def _answer_frame(run: Run, table: list[Row]) -> pd.DataFrame:
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
    return pd.DataFrame.from_records(records)


def _trials_frame(run: Run) -> pd.DataFrame:
    """One row per trial: what was asked for, what became of it, and what each metric was worth."""
    chosen = pd.DataFrame.from_records(run.trials["params"].tolist(), index=run.trials.index)
    metrics = sorted(run.reports["metric"].unique())
    worth = pd.DataFrame({m: values(run, m) for m in metrics}).reindex(run.trials["trial"]).set_axis(run.trials.index)
    frame = run.trials.drop(columns=["params", "config"])
    return beside(beside(frame, chosen, "nuisance"), worth, "metric")

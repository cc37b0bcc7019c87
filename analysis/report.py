"""The report of a run: one self-contained page, the same in Markdown, and the numbers as CSV and LaTeX.

Nothing in it depends on when or where it is written: the same ledger, and the same pictures in TensorBoard's files,
give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from analysis import latex, sections
from analysis.answers import Row, places, rows, sentence
from analysis.frames import Run, load
from analysis.pictures import albums
from analysis.plates import plates, swatches
from analysis.replicates import objectives, shown_metrics
from analysis.threats import threats
from analysis.verdicts import Verdict, verdicts
from analysis.wording import DASH, count, estimate, markdown, params, plain

PAGE = "index.html"
_HERE = Path(__file__).parent


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
    threats: tuple[tuple[str, str], ...]  # what kind, and the finding
    cost: str
    simulated: bool = False  # nothing was trained


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
        threats=tuple((threat.kind, threat.text) for threat in threats(run, table)),
        cost=sections.cost(run),
        simulated=run.simulated,
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
    more = f"; about {count(verdict.more, 'more seed')} might decide it (an estimate)" if verdict.more else ""
    return f"{value} at {100 * verdict.level:.3g} %, {p}, {count(verdict.replicates, 'seed')}{more}"


def write(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run folder, finished or not, and return its page."""
    folder = out or run / "report"
    publish(load(run), folder)
    return folder / PAGE


def publish(run: Run, folder: Path) -> Summary:
    """Write the report of a run into a folder, and return what it says."""
    table, judged = rows(run), verdicts(run)
    context = _context(run, table, judged)
    said: Summary = context["summary"]
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "report.md", _environment().get_template("report.md.jinja").render(context))
    _save(folder / "answer.csv", sections.answer_frame(run, table).to_csv(index=False))
    _save(folder / "trials.csv", sections.trials_frame(run).to_csv(index=False))
    if not run.simulated:  # of which nothing belongs into a paper
        _save_tables(said, folder)
    _save(folder / PAGE, _environment().get_template("report.html.jinja").render(context))
    return said


def _save_tables(said: Summary, folder: Path) -> None:
    _save(folder / "answer.tex", latex.table(said.header, said.table, wide=1, label="answer"))
    _save(folder / "claims.tex", latex.table(("verdict", "claim", "finding"), said.verdicts, wide=2, label="claims"))


def _save(path: Path, text: str) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # `assay watch` may be writing it as well
    temporary.write_text(text, encoding="utf-8", errors="replace", newline="")
    temporary.replace(path)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
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
    return {
        "summary": _summary(run, table, judged),
        "factors": len(run.cells.columns),
        "cells": [row.cell for row in table],
        "swatches": swatches(run, table),
        "figures": plates(run, table, judged),
        "shown": albums(run, table),
        "diagnostics": sections.diagnostics(run),
        "objectives": [sections.objective(o.metric, o.maximize, o.at) for o in objectives(run.lock)],
        "setup": sections.setup(run.lock),
        "started": sections.started(run),
        "outcomes": sections.outcomes(run, table),
        "errors": sections.errors(run),
        "environment": sections.environment(run),
        "lock_text": sections.lock_text(run),
        **_own(),
    }


def _own() -> dict[str, str]:
    """The page's style and its script; the page lets no other script run."""
    css, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"css": css, "script": script, "script_hash": f"sha256-{digest}"}

"""How plans, runs, trainables and answers look in a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.nodes import Machines, shares, total
from cluster.placement import amounts, asked_for, bundle, plainly
from sweeps.folder import Status

if TYPE_CHECKING:
    from analysis.report import Summary
    from cluster.jobs import Job
    from sweeps.plan import Plan
    from trainables.explain import Field

STATES = ("done", "running", "planned", "pruned", "diverged", "failed", "cancelled", "lost")


def table(*columns: str, title: str = "") -> Table:
    """Columns that begin with ``>`` are aligned to the right."""
    made = Table(box=SIMPLE_HEAD, title=escape(title) or None, title_justify="left", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    return made


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plan(p: Plan) -> RenderableType:
    """What will run, per cell and in all."""
    sweep = p.sweep
    cells = table(
        " · ".join(sweep.factors) or "cell", "tuned", ">points", ">tune trials", ">confirm trials", ">s per trial"
    )
    for c in p.cells[:40]:
        tuned = ", ".join(c.parameters) or "nothing"
        seconds = "-" if c.seconds is None else f"{c.seconds:.2f}"
        confirm = f"{c.confirm}{' per front point' if len(sweep.objectives) > 1 else ''}"
        name = " · ".join(c.cell.levels.values()) or c.cell.id
        cells.add_row(*map(escape, [name, tuned, str(c.points), str(c.tune), confirm, seconds]))
    lines = [Text(f"... and {len(p.cells) - 40} more cells", style="dim")] if len(p.cells) > 40 else []
    return Group(Text(sweep.question, style="italic"), cells, *lines, _facts(_plan_facts(p)))


def _plan_facts(p: Plan) -> list[tuple[str, str]]:
    r, s, n = p.sweep.resources, p.sweep.seeds, p.tune + p.confirm
    each = amounts(bundle(r))
    workers = f", {r.workers} workers" if r.workers else ""
    source = f" (from {p.estimate_from})" if p.estimate_from else "; `assay plan --probe` measures it"
    gpu = f", {p.gpu_hours:.1f} GPU-hours" if p.gpu_hours else ""
    return [
        ("code", p.code),
        ("trials", f"{n} = {p.tune} to tune + {p.confirm} to confirm, in {len(p.cells)} cells"),
        ("seeds", f"{s.tune} per point while tuning, {s.confirm} fresh ones per winner"),
        ("search", f"{p.sweep.search.sampler}, scheduler {p.sweep.scheduler.name}"),
        ("cohorts", _cohorts(p)),
        ("per process", f"{each}{workers}; {p.concurrent} at a time"),
        ("time", duration(p.wall_s) + gpu + source),
    ]


def _cohorts(p: Plan) -> str:
    if not p.stacks:
        off = p.sweep.resources.cohort == "off" or p.sweep.resources.workers
        return "none, " + ("trials run alone" if off else "the trainable takes one trial at a time")
    shapes = f"{p.shapes} tensor shape{'s' * (p.shapes != 1)}"
    cohort = p.sweep.resources.cohort
    size = "as many trials as is quickest" if cohort == "auto" else f"up to {cohort} trials"
    return f"{size} are trained as one model, where shapes agree; {shapes} at most"


def layout(p: Plan, machines: Sequence[Machines]) -> RenderableType:
    """Which node holds how much of a sweep, what is used up there first, and how long all nodes take together."""
    resources, found = p.sweep.resources, shares(p.sweep.resources, machines)
    kind = "workers" if resources.workers else "processes"
    nodes = table("nodes", "each has", f">{kind} on each", ">in all", "what binds")
    for share in found[:40]:
        kind, binds = share.machines, ", ".join(map(plainly, share.binds))
        name = kind.name if kind.count == 1 else f"{kind.count} like {kind.name}"
        has = amounts({name: amount for name, amount in kind.has.items() if asked_for(name)})
        binds = binds if share.processes else f"too few of {binds}"
        nodes.add_row(*map(escape, [name, has, str(share.processes), str(share.processes * kind.count), binds]))
    return Group(nodes, _facts(_layout_facts(p, total(found))))


def _layout_facts(p: Plan, places: int) -> list[tuple[str, str]]:
    workers = max(1, p.sweep.resources.workers)
    groups = f"{p.concurrent} trials of {workers} workers" if workers > 1 else f"{p.concurrent} processes"
    idle = places - p.concurrent * workers
    left = f"; {idle} place{'s' * (idle != 1)} left" if idle else ""
    return [("at a time", groups + left), ("on all nodes", duration(p.wall_s))]


def _facts(facts: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(Text(name, style="dim"), Text(value))
    return grid


def status(s: Status) -> RenderableType:
    cells = table("cell", ">tuned", ">confirmed", "states", ">best", "winner")
    for name, cell in s.cells.items():
        best = "-" if cell.best is None else f"{cell.best:.5g}"
        row = [name, _share(cell.tune), _share(cell.confirm), _states(cell.tune + cell.confirm), best]
        cells.add_row(*map(escape, [*row, ", ".join(cell.winners) or "-"]))
    torn = f"; {s.torn} torn line dropped" if s.torn else ""
    facts = [("run", str(s.run)), ("state", f"{s.words}{torn}"), ("trials", _states(s.totals) or "none")]
    causes = ", ".join(f"{number} {cause}" for cause, number in sorted(s.causes.items()))
    facts += [("attempts", causes)] if causes else []
    return Group(_facts([*facts, ("run time", duration(s.seconds))]), cells)


def _share(counts: Counter[str]) -> str:
    final = sum(counts[state] for state in ("done", "pruned", "diverged", "failed"))
    return f"{final}/{counts.total()}"


def _states(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def runs(found: Sequence[Status], root: Path) -> RenderableType:
    rows = table("run", "state", ">trials done", ">run time")
    for s in found:
        done = f"{s.totals['done']}/{s.totals.total()}"
        rows.add_row(*map(escape, [str(s.run.relative_to(root)), s.words, done, duration(s.seconds)]))
    return rows


def jobs(found: Sequence[Job]) -> RenderableType:
    rows = table("run", "job", "state", "started", ">time")
    for job in found:
        began = datetime.fromtimestamp(job.started).astimezone().strftime("%Y-%m-%d %H:%M") if job.started else ""
        spent = duration((job.ended or time.time()) - job.started) if job.started else ""
        rows.add_row(*map(escape, [job.run, job.id, job.status.lower(), began, spent]))
    return rows


_STACKS = "It stacks trials: those that differ only in the seed and in what may differ in a cohort train as one model."
_SINGLE = "It does not stack trials: each runs by itself."


def explanation(
    reference: str, doc: str, found: Sequence[Field], metrics: dict[str, str], *, stacks: bool
) -> RenderableType:
    shown = table("field", "type", "default", "range", "in a cohort", "meaning", title="Config")
    for field in found:
        _add_field(shown, field)
    head = [Text(reference, style="bold"), Text(doc), Text(), Text(_STACKS if stacks else _SINGLE)]
    if not found:
        return Group(*head, Text("It takes a plain mapping: nothing is checked."))
    parts: list[RenderableType] = [*head, Text(), shown]
    if metrics:
        reported = table("metric", "meaning", title="Metrics")
        for name, meaning in metrics.items():
            reported.add_row(escape(name), escape(meaning))
        parts.append(reported)
    return Group(*parts)


def fields(title: str, found: Sequence[Field]) -> RenderableType:
    """Plain settings, which have nothing to do with cohorts."""
    shown = table("key", "type", "default", "range", "meaning", title=title)
    for field in found:
        shown.add_row(*map(escape, [field.path, field.type, str(field.default), field.range, field.doc]))
    return shown


def _add_field(shown: Table, field: Field, note: str = "") -> None:
    default = "required" if field.required else str(field.default)
    member = "may differ" if field.per_member else "equal"
    cells = [field.path, field.type, default, field.range, member, f"{note}{field.doc}"]
    shown.add_row(*map(escape, cells))
    for name, inner in field.choices.items():
        for one in inner:
            _add_field(shown, one, f"({name}) ")


_METRICS = 3  # that fit beside each other; the report has them all
_COLOURS = {"holds": "green", "fails": "red"}


def answer(summary: Summary) -> RenderableType:
    """The answer table, the verdicts and the warnings of a report."""
    first, seeds = -2 - len(summary.metrics), -2
    metrics = summary.metrics[:_METRICS]
    shown = table("", *metrics, ">seeds")
    for name, row in zip(summary.rows, summary.table, strict=True):
        shown.add_row(*map(escape, [name, *row[first:seeds][:_METRICS], row[seeds]]))
    tuned = zip(summary.rows, (row[-1] for row in summary.table), strict=True)
    verdicts = [(v, f"{claim}: {finding}") for v, claim, finding in summary.verdicts]
    threats = [("threat", f"{kind}: {text}") for kind, text in summary.threats]
    return Group(
        *([Text("SIMULATED: nothing was trained", style="bold white on red")] if summary.simulated else []),
        Text(summary.question, style="italic"),
        shown,
        *(Text.assemble(("tuned ", "dim"), (f"{cell}: {point}", "dim")) for cell, point in tuned),
        Text(),
        Text(summary.answer, style="bold"),
        Text(),
        _verdicts([*verdicts, *threats]),
    )


def _verdicts(lines: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for verdict, text in lines:
        grid.add_row(Text(verdict, style=_COLOURS.get(verdict, "yellow")), Text(text))
    return grid

"""A comparison of runs as text: for a terminal, as Markdown, as one self-contained page, and as CSV."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from analysis import stats
from analysis.compare import Comparison, Side, frame
from analysis.frames import Run
from analysis.records import LedgerError
from analysis.wording import DASH, count, decimals, estimate, markdown, number, plain, seconds

SUFFIXES = (".md", ".html", ".csv")


@dataclass(frozen=True)
class Page:
    """What a comparison says, as text."""

    title: str
    answer: str
    columns: tuple[str, ...]  # of the table of runs
    runs: tuple[tuple[str, ...], ...]
    header: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]  # the last but one column is the verdict
    notes: tuple[str, ...]


def page(runs: Mapping[str, Run], comparisons: Sequence[Comparison], margin: float) -> Page:
    baseline, *others = (plain(name, 60) for name in runs)
    metrics = list(dict.fromkeys(c.metric for c in comparisons))
    shown = {"metric": len(metrics) > 1, "run": len(others) > 1}
    columns = [name for name, wanted in shown.items() if wanted]
    sweep = next(iter(runs.values())).lock.get("sweep", "sweep")
    return Page(
        title=f"{plain(sweep, 60)}: {', '.join(others)} against {baseline}",
        answer=_answer(comparisons),
        columns=("", "run", "commit", "code", "machine", "trials done", "trial time"),
        runs=tuple(_facts("after" if n else "before", name, run) for n, (name, run) in enumerate(runs.items())),
        header=("cell", *columns, "before", "after", "difference", "seeds", "verdict", "remark"),
        table=tuple(_row(c, shown, _places(comparisons, c.metric)) for c in comparisons),
        notes=_notes(metrics, margin, len(comparisons)),
    )


def _answer(comparisons: Sequence[Comparison]) -> str:
    counts = Counter(c.verdict for c in comparisons)
    found = ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())
    return f"Of {count(len(comparisons), 'comparison')}: {found}."


def _notes(metrics: Sequence[str], margin: float, comparisons: int) -> tuple[str, ...]:
    what = f"Means of {', '.join(plain(m, 60) for m in metrics)} over the confirm seeds, with 95 % intervals."
    beyond = f"A difference of up to {number(margin)} does not matter." if margin else "Any difference matters."
    holm = f"Intervals of differences are wide enough for all {comparisons} comparisons together (Holm)."
    return what, f"{beyond} {holm if comparisons > 1 else ''}".strip()


def _facts(role: str, name: str, run: Run) -> tuple[str, ...]:
    git = run.environment.get("git") or {}
    commit = str(git.get("commit") or "")[:9] + ("+" if git.get("dirty") else "")
    done = run.trials["outcome"].tolist().count("done")
    facts = (commit, run.code, run.environment.get("hostname") or "", f"{done} of {len(run.trials)}")
    return (
        role,
        plain(name, 60),
        *(plain(fact, 40) or DASH for fact in facts),
        seconds(sum(run.trials["seconds"].tolist())),
    )


def _places(comparisons: Sequence[Comparison], metric: str) -> int:
    """The decimals that the differences of a metric need, so that the values can be read against each other."""
    found = [decimals(c.difference, c.low, c.high) for c in comparisons if c.metric == metric and c.high > c.low]
    return sorted(found)[len(found) // 2] if found else 4


def _row(c: Comparison, shown: Mapping[str, bool], places: int) -> tuple[str, ...]:
    also = [plain(getattr(c, name), 60) for name, wanted in shown.items() if wanted]
    sides = (_value(side, places) for side in (c.before, c.after))
    difference = DASH if math.isnan(c.difference) else estimate(c.difference, c.low, c.high, places=places)
    remarks = [c.reason, "" if c.same_point or not c.after.values else "tuned to another point"]
    remarks.append("" if c.paired or math.isnan(c.difference) else "seeds not paired")
    seeds = f"{_seeds(c.before)}, {_seeds(c.after)}"
    return (plain(c.cell, 80), *also, *sides, difference, seeds, c.verdict, "; ".join(filter(None, remarks)))


def _value(side: Side, places: int) -> str:
    mean: stats.Estimate = side.mean
    return estimate(mean.value, *mean.interval(), places=places) if side.values else DASH


def _seeds(side: Side) -> str:
    return f"{len(side.values)}" if len(side.values) == side.planned else f"{len(side.values)} of {side.planned}"


def write(target: Path, made: Page, comparisons: Sequence[Comparison]) -> None:
    """Write the comparison as what the suffix says: .md, .html or .csv. Raises LedgerError for another one."""
    if target.suffix not in SUFFIXES:
        raise LedgerError(
            f"{target}: got a file that ends in {target.suffix or 'nothing'}, expected {' or '.join(SUFFIXES)}"
        )
    if target.suffix == ".csv":
        text = frame(comparisons, made.runs[0][1]).to_csv(index=False)
    else:
        text = _environment().get_template(f"comparison{target.suffix}.jinja").render(page=made)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown
    return environment

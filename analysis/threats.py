"""What a reader should know before believing the answer, found automatically."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis import stats
from analysis.answers import Row
from analysis.claims import claims_of, selected
from analysis.edges import edges
from analysis.frames import Run
from analysis.replicates import answer_metric, objectives, split
from analysis.wording import DASH, count, number, plain

FEW_SEEDS = 5
_UNEQUAL = 0.9  # budgets closer than this are as good as equal
_BAD = ("diverged", "failed", "lost")
_SHUFFLES = 9_999
_NAMED = 5  # cells that one threat names


@dataclass(frozen=True)
class Threat:
    """``kind`` says in a word or two what is wrong, ``text`` in a sentence where and how much."""

    kind: str
    text: str


def threats(run: Run, rows: list[Row]) -> list[Threat]:
    """In the order of the checks; none in a sound run."""
    return [
        Threat(kind, text)
        for kind, found in (
            ("simulated", _simulated(run)),
            ("unfinished", _progress(run)),
            ("missing cells", _missing(rows)),
            ("few seeds", _few(rows)),
            ("missing seeds", _lost_seeds(rows)),
            ("failures", _failures(run, rows)),
            ("unequal tuning", _budgets(run, rows)),
            ("selection", _splits(run)),
            ("edge of the space", _edges(run, rows)),
            ("small effects", _small(run, rows)),
            ("damage", _damage(run)),
        )
        for text in found
    ]


def _simulated(run: Run) -> Iterator[str]:
    if run.simulated:
        yield "No number, figure or table of this run is a measurement. Nothing in it may be cited or compared."


def _progress(run: Run) -> Iterator[str]:
    counts = run.trials["outcome"].value_counts().to_dict()
    last = run.events["event"].iloc[-1] if len(run.events) else "not started"
    open_ = [f"{counts[o]:,} {o}" for o in ("running", "planned", "cancelled", "lost") if counts.get(o)]
    if last != "finished":
        yield "The run is not finished" + (f" ({last}): {', '.join(open_)}" if open_ else f" ({last})") + "."
    elif open_:
        yield f"Some trials did not come to an end: {', '.join(open_)}."


def _names(rows: list[Row]) -> str:
    names = [plain(row.name, 60) for row in rows]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _missing(rows: list[Row]) -> Iterator[str]:
    if without := [row for row in rows if not row.point]:
        yield f"{count(len(without), 'cell')} without a winner: {_names(without)}."
    if empty := [row for row in rows if row.point and not row.replicates]:
        yield f"{count(len(empty), 'cell')} without a finished confirm replicate: {_names(empty)}."


def _few(rows: list[Row]) -> Iterator[str]:
    counts = [row.replicates for row in rows if row.replicates]
    if counts and min(counts) < FEW_SEEDS:
        yield f"As few as {count(min(counts), 'confirm seed')} in a cell: intervals are wide and their level is rough."


def _lost_seeds(rows: list[Row]) -> Iterator[str]:
    short = [row for row in rows if 0 < row.replicates < row.planned]
    for row in short[:_NAMED]:
        missing = row.planned - row.replicates
        yield f"{plain(row.name, 60)}: {missing} of {row.planned} confirm replicates are missing from its mean."
    if len(short) > _NAMED:
        yield f"{len(short) - _NAMED} more cells miss some of their confirm replicates."


def _failures(run: Run, rows: list[Row]) -> Iterator[str]:
    """Whether what failed is spread evenly over the cells, and over the levels of each factor (Holm over all)."""
    ended = run.trials.loc[
        run.trials["outcome"].isin(["done", "pruned", *_BAD]) & run.trials["cell"].isin(list(run.cells.index))
    ]
    bad = ended["outcome"].isin(_BAD).to_numpy(dtype=bool)
    if not bad.any() or bad.all():
        return
    called = {row.cell: plain(row.name, 60) for row in rows}
    cell_of = run.cells.fillna(DASH)
    groups = {"cell": ended["cell"].map(called).to_numpy(dtype=object)}
    for factor in cell_of:
        groups[plain(factor, 60)] = ended["cell"].map(cell_of[factor]).to_numpy(dtype=object)
    tested = [(name, levels, evenness(levels, bad)) for name, levels in groups.items() if len(set(levels)) > 1]
    for (name, levels, _), p in zip(tested, stats.holm([p for *_, p in tested]), strict=True):
        if p <= stats.ALPHA and not (name == "cell" and len(run.cells.columns) == 1):
            yield f"Failures are not random over {_over(name)} (p = {p:.2g}): {_worst(levels, bad)}."


def _over(name: str) -> str:
    return "the cells" if name == "cell" else f"the levels of {name}"


def evenness(levels: np.ndarray, bad: np.ndarray, seed: int = 0) -> float:
    """The p value of failures that strike trials at random, whatever their level.

    An exact permutation test of the chi-squared statistic, by Monte Carlo: Patefield, 1981, Appl. Stat. 30, 91-97.
    """
    _, codes = np.unique([str(level) for level in levels], return_inverse=True)
    sizes = np.bincount(codes)
    failed = np.bincount(codes, weights=bad).astype(int)
    expected = sizes * bad.mean()
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(
        sizes, int(bad.sum()), _SHUFFLES, method="marginals"
    )
    seen = float(((failed - expected) ** 2 / expected).sum())
    chance = ((drawn - expected) ** 2 / expected).sum(axis=1)
    return float((1 + (chance >= seen - 1e-9).sum()) / (1 + _SHUFFLES))


def _worst(levels: np.ndarray, bad: np.ndarray) -> str:
    shares = {level: bad[levels == level].mean() for level in dict.fromkeys(levels)}
    worst = max(shares, key=lambda level: shares[level])
    here = levels == worst
    inside, outside = (f"{int(bad[at].sum())} of {int(at.sum())} trials" for at in (here, ~here))
    return f"{inside} failed in {plain(worst, 60)}, {outside} elsewhere"


def _budgets(run: Run, rows: list[Row]) -> Iterator[str]:
    """Points that the search of each cell learned something from."""
    told = run.points.loc[run.points["state"].isin(["COMPLETE", "PRUNED"])]
    counts = told.groupby("cell").size().reindex(list(run.cells.index), fill_value=0)
    if not len(counts) or not counts.max() or counts.min() >= _UNEQUAL * counts.max():
        return
    called = {row.cell: row for row in rows}
    fewest = [called[str(cell)] for cell in counts.index[counts == counts.min()] if cell in called]
    yield (
        f"The cells were not tuned alike: {count(int(counts.min()), 'point')} in {_names(fewest)}, "
        f"up to {int(counts.max())} elsewhere."
    )


def _splits(run: Run) -> Iterator[str]:
    answer = answer_metric(run)
    claimed = {claim.metric for claim in claims_of(run.lock)}
    used = {"the answer": {answer.metric} if answer else set(), "the claims": claimed}
    for objective in objectives(run.lock):
        if split(objective.metric) == "test":
            yield f"The winners were selected by {plain(objective.metric)}, a test metric."
        same = [user for user, metrics in used.items() if any(_same_split(objective.metric, m) for m in metrics)]
        if same:
            rest = "rests" if same == ["the answer"] else "rest"
            yield (
                f"{' and '.join(same).capitalize()} {rest} on the split that {plain(objective.metric)} was tuned on; "
                "the seeds are fresh, the data are not."
            )


def _same_split(tuned: str, tested: str) -> bool:
    return tuned == tested or (split(tuned) != "" and split(tuned) == split(tested))


def _edges(run: Run, rows: list[Row]) -> Iterator[str]:
    called = {row.cell: plain(row.name, 60) for row in rows}
    found = [f"{called[edge.cell]}: {edge.sentence()}" for edge in edges(run) if edge.cell in called]
    yield from found[:_NAMED]
    if len(found) > _NAMED:
        yield f"{count(len(found) - _NAMED, 'more winner')} at the edge of a space."


def _small(run: Run, rows: list[Row]) -> Iterator[str]:
    """Differences that one lucky seed can turn round, however well they are known on average."""
    target = answer_metric(run)
    if target and len(objectives(run.lock)) == 1:
        ready = [row for row in rows if math.isfinite(row.values[target.metric].value)]
        best = sorted(ready, key=lambda row: row.values[target.metric].value, reverse=target.maximize)[:2]
        if len(best) == 2 and (text := _below(best[:1], best[1:], target.metric)):
            yield f"The best two cells, {plain(best[0].name, 60)} and {plain(best[1].name, 60)}, differ by {text}."
    for claim in claims_of(run.lock):
        if claim.expect in ("greater", "less") and claim.against is not None:
            left, right = ([r for r in rows if selected([r.levels], where)] for where in (claim.where, claim.against))
            if text := _below(left, right, claim.metric):
                yield f"{plain(claim.name, 80)}: the two sides differ by {text}."


def _below(left: list[Row], right: list[Row], metric: str) -> str:
    """In words, if the difference of two groups is smaller than the standard deviation over seeds in them."""
    sides = [[list(row.seeds.get(metric, {}).values()) for row in side] for side in (left, right)]
    cells = [found for side in sides for found in side if len(found) > 1 and np.isfinite(found).all()]
    if not all(side and all(side) for side in sides) or not cells:
        return ""
    gap = abs(float(np.mean([np.mean(c) for c in sides[0]]) - np.mean([np.mean(c) for c in sides[1]])))
    noise = math.sqrt(float(np.mean([np.var(c, ddof=1) for c in cells])))
    if not gap < noise:
        return ""
    return f"{number(gap, 2)} in {plain(metric, 60)}, less than one standard deviation over seeds ({number(noise, 2)})"


def _damage(run: Run) -> Iterator[str]:
    if run.torn:
        yield f"{count(run.torn, 'torn line')} in the ledger, left by a kill, not counted."

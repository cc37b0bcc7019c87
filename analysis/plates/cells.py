"""The plates of the answer: cells, claims, factors, curves and calibration."""

from __future__ import annotations

import math
import re
from collections import defaultdict

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from analysis import figures
from analysis.answers import named
from analysis.claims import number
from analysis.figures.look import INK, SHADES
from analysis.plates.fits import drawn, fitted, sentence
from analysis.plates.scene import Panel, Plate, Scene, numeric
from analysis.replicates import objectives, replicates, shown_metrics
from analysis.wording import DASH, plain

_ROWS = 40  # cells in the figure of the answer
_SERIES = 7  # lines in one response figure
_PANELS = 4  # of a phase diagram
_CURVES = 6  # metrics


def answer(scene: Scene) -> Plate:
    goals = objectives(scene.run.lock)
    if len(goals) > 1:
        return _front(scene)
    best = set(scene.ranked[:_ROWS])
    target, rows = scene.target, [row for row in scene.table if row.cell in best]
    pairs = [(row.cell, v) for row in rows if target for v in row.seeds[target.metric].values() if math.isfinite(v)]
    caption = scene.said(len(best), "Every dot is a confirm seed; the line is the 95 % interval of their mean.")
    if not pairs or target is None:
        return Plate("The answer", caption, ())
    drawn = figures.answer(pd.DataFrame(pairs, columns=["cell", "value"]), scene.looks, target.metric)
    return Plate("The answer", caption, (Panel("answer", f"{target.metric} of every cell", drawn),))


def _front(scene: Scene) -> Plate:
    """One panel for each pair of the first three objectives."""
    goals = objectives(scene.run.lock)[:3]
    pairs = [(a, b) for i, a in enumerate(goals) for b in goals[i + 1 :]]
    panels = []
    for i, (a, b) in enumerate(pairs):
        points = _replicates(scene, a.metric, b.metric)
        if len(points):
            drawn = figures.front(points, scene.looks, (a.metric, b.metric), (a.maximize, b.maximize))
            panels.append(Panel(f"front{i}", f"{b.metric} against {a.metric}", drawn))
    caption = (
        "Every mark is a confirmed point, its mean over seeds. The line is attained by half of the seeds, the band "
        "lies between what a quarter and three quarters attain; with fewer than five seeds there are small dots, the "
        "replicates."
    )
    return Plate("The fronts", scene.said(len(scene.top), caption), tuple(panels), scene.legend())


def _replicates(scene: Scene, x: str, y: str) -> pd.DataFrame:
    rows = [
        (row.cell, row.point, seed, row.seeds[x][seed], row.seeds[y][seed])
        for row in scene.table
        if row.cell in scene.top
        for seed in row.seeds[x].keys() & row.seeds[y].keys()
    ]
    frame = pd.DataFrame(sorted(rows), columns=["cell", "point", "seed", "x", "y"])
    return frame.loc[np.isfinite(frame["x"]) & np.isfinite(frame["y"])]


def claims(scene: Scene) -> Plate:
    caption = (
        "The claimed region is shaded. A claim holds if the whole interval lies inside, and fails if it lies outside. "
        "Intervals are wide enough for all claims together (Holm)."
    )
    tested = [v for v in scene.judged if math.isfinite(v.effect)]
    panels = (Panel("claims", "effects and intervals of the claims", figures.forest(tested)),) if tested else ()
    return Plate("The claims", caption, panels)


def _known(scene: Scene) -> pd.DataFrame:
    """One row per finished replicate of a run with one objective: levels of the factors that vary, seed, value."""
    target = scene.target
    if target is None or len(objectives(scene.run.lock)) > 1:
        return pd.DataFrame()
    rows = [
        {**{f: row.levels[f] for f in scene.factors}, "\0cell": row.cell, "\0seed": seed, "\0value": value}
        for row in scene.table
        for seed, value in row.seeds[target.metric].items()
        if math.isfinite(value)
    ]
    return pd.DataFrame(rows)


def responses(scene: Scene) -> list[Plate]:
    """One plate for each factor whose levels are numbers, if it has three or more of them."""
    known = _known(scene)
    along = [f for f in scene.factors if len(known) and len(set(known[f])) > 2 and numeric(scene.run, f)]
    return [_response(scene, known, factor, i) for i, factor in enumerate(along[:3])]


def _response(scene: Scene, known: pd.DataFrame, factor: str, place: int) -> Plate:
    assert scene.target, "there are values"
    others = [f for f in scene.factors if f != factor]
    kept = _few(known, others)
    frame = pd.DataFrame(
        {
            "series": _joined(known, kept),
            "x": [number(level) for level in known[factor]],
            "seed": known["\0seed"],
            "value": known["\0value"],
        }
    )
    frame = frame.groupby(["series", "x", "seed"], sort=False, as_index=False).agg(value=("value", "mean"))
    looks = _series(scene, known, kept)
    fits = fitted(frame)
    wide = _wide(frame["x"].to_numpy(dtype=float))
    shown = figures.response(frame, looks, factor, scene.target.metric, log=wide, fits=drawn(fits))
    caption = "Means over confirm seeds with 95 % bands; the dots are replicates where a cell has fewer than five."
    if left := [plain(f, 40) for f in others if f not in kept]:
        caption += f" Averaged over {' and '.join(left)}."
    caption = " ".join([caption, *(sentence(name if len(looks) > 1 else "", fit) for name, (fit, _) in fits.items())])
    key = tuple((_swatch(style, f"key{place}-{i}"), name) for i, (name, style) in enumerate(looks.items()))
    panels = (Panel(f"response{place}", f"{scene.target.metric} along {factor}", shown),)
    return Plate(f"Along {plain(factor, 60)}", caption, panels, key=key if len(key) > 1 else ())


def _swatch(style: figures.Style, name: str) -> str:
    return figures.svg(figures.swatch(style), name)


def _few(known: pd.DataFrame, factors: list[str]) -> list[str]:
    """As many of the factors, from the first on, as give no more series than a figure can show."""
    kept: list[str] = []
    for factor in factors:
        if len(known[[*kept, factor]].drop_duplicates()) <= _SERIES:
            kept.append(factor)
    return kept


def _joined(known: pd.DataFrame, factors: list[str]) -> list[str]:
    if not factors:
        return [""] * len(known)
    found = known[factors].fillna(DASH).to_numpy()
    return [" · ".join(named(f, level, 40) for f, level in zip(factors, levels, strict=True)) for levels in found]


def _series(scene: Scene, known: pd.DataFrame, kept: list[str]) -> dict[str, figures.Style]:
    """Series that fix the level of the colour's factor have its colour; others have shades; a lone one is black."""
    names = list(dict.fromkeys(_joined(known, kept)))
    base = figures.styles({name: name for name in names})
    if scene.factors[0] in kept:
        cells = dict(zip(reversed(_joined(known, kept)), reversed(known["\0cell"].tolist()), strict=True))
        plain_looks = {name: scene.looks[cells[name]] for name in names}
        if len(kept) == 1:  # without other factors the colour has a shape of its own, to be told apart in grey
            return {n: figures.Style(n, s.colour, base[n].marker, base[n].dash) for n, s in plain_looks.items()}
        return {n: figures.Style(n, s.colour, s.marker, s.dash) for n, s in plain_looks.items()}
    shades = [INK] if len(names) == 1 else [to_hex(colormaps[SHADES](p)) for p in np.linspace(0.2, 0.85, len(names))]
    return {
        n: figures.Style(s.name, shade, s.marker, s.dash) for (n, s), shade in zip(base.items(), shades, strict=True)
    }


def _wide(x: np.ndarray) -> bool:
    """Whether levels are better drawn on a logarithmic axis."""
    return bool(x.min() > 0 and x.max() / x.min() >= 8)


def phases(scene: Scene) -> list[Plate]:
    """Over two factors: those with numbers first, and of these the ones with most levels."""
    known = _known(scene)
    if not len(known) or len(scene.factors) < 2:
        return []
    sizes = {f: len(set(known[f].fillna(DASH))) for f in scene.factors}
    x, y = sorted(scene.factors, key=lambda f: (not numeric(scene.run, f), -sizes[f]))[:2]
    if sizes[x] * sizes[y] < 6:
        return []
    return [_phase(scene, known, x, y)]


def _phase(scene: Scene, known: pd.DataFrame, x: str, y: str) -> Plate:
    assert scene.target, "there are values"
    others = [f for f in scene.factors if f not in (x, y)]
    panel = _joined(known, others)
    pooled = len(set(panel)) > _PANELS
    frame = pd.DataFrame({"panel": "" if pooled else panel, "x": known[x].fillna(DASH), "y": known[y].fillna(DASH)})
    frame = frame.assign(value=known["\0value"])
    frame = frame.groupby(["panel", "x", "y"], sort=False, as_index=False).agg(value=("value", "mean"))
    for axis in "yx":  # numbers grow to the right and upwards
        order = np.argsort([number(level) or 0.0 for level in frame[axis].tolist()], kind="stable")
        frame = frame.iloc[order]
    drawn = figures.phase(frame, (x, y), scene.target.metric, maximize=scene.target.maximize)
    caption = "Mean over confirm seeds. The best square is framed; one without a finished replicate is empty."
    if pooled:
        caption += f" Averaged over {' and '.join(plain(f, 40) for f in others)}."
    return Plate("By two factors", caption, (Panel("phase", f"{scene.target.metric} by {x} and {y}", drawn),))


def curves(scene: Scene) -> Plate:
    done = replicates(scene.run).loc[lambda trials: trials["cell"].isin(scene.top), ["trial", "cell", "seed"]]
    reports = scene.run.reports
    reports = reports.loc[reports["trial"].isin(done["trial"])]
    panels = []
    for i, metric in enumerate(shown_metrics(scene.run)[:_CURVES]):
        rows = reports.loc[reports["metric"] == metric, ["trial", "step", "value"]]
        rows = rows.astype({"trial": object}).merge(done, on="trial")
        rows = rows.loc[np.isfinite(rows["value"])]
        if rows["step"].nunique() > 1:
            drawn = figures.learning_curves(rows, scene.looks, metric)
            panels.append(Panel(f"curve{i}", f"{metric} by step", drawn))
    caption = "Mean over the confirm seeds of each winner, with the 95 % interval at each step."
    return Plate("Learning curves", scene.said(len(scene.top), caption), tuple(panels), scene.legend())


_BIN = re.compile(r"^(?P<base>.*?)(?P<kind>confidence|accuracy)[_/]bin[_/]?(?P<bin>\d+)(?P<end>.*)$")


def calibration(scene: Scene) -> Plate:
    """Reliability diagrams if bins were reported (``confidence_bin_3``, ``accuracy_bin_3``), else the errors."""
    panels = [
        Panel(f"reliability{i}", "accuracy by confidence", figures.calibration(bins, scene.looks))
        for i, bins in enumerate(_bins(scene))
        if len(bins)
    ]
    caption = "Accuracy by confidence, mean over confirm seeds with their range; calibrated is the diagonal."
    if not panels:
        panels = _errors(scene)
        caption = "Calibration error of each winner, over its confirm seeds with the 95 % interval of their mean."
    return Plate("Calibration", scene.said(len(scene.top), caption), tuple(panels), scene.legend())


def _bins(scene: Scene) -> list[pd.DataFrame]:
    """For each split: cell, seed, bin, confidence, accuracy, at the last step."""
    parts = {str(m): match for m in scene.run.reports["metric"].unique() if (match := _BIN.match(str(m)))}
    if not parts:
        return []
    rows = _last(scene, list(parts))
    groups: dict[tuple[str, str], dict[tuple[str, int, int], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for cell, seed, metric, value in rows[["cell", "seed", "metric", "value"]].itertuples(index=False):
        match = parts[metric]
        if math.isfinite(value):  # an empty bin has none
            groups[match["base"], match["end"]][cell, seed, int(match["bin"])][match["kind"]] = value
    frames = []
    for found in groups.values():
        whole = [(*key, v["confidence"], v["accuracy"]) for key, v in found.items() if len(v) == 2]
        frames.append(pd.DataFrame(whole, columns=["cell", "seed", "bin", "confidence", "accuracy"]))
    return frames


def _last(scene: Scene, metrics: list[str]) -> pd.DataFrame:
    """The last report of each metric by each replicate of the shown cells: cell, seed, metric, value."""
    done = replicates(scene.run).loc[lambda trials: trials["cell"].isin(scene.top), ["trial", "cell", "seed"]]
    reports = scene.run.reports
    rows = reports.loc[reports["trial"].isin(done["trial"]) & reports["metric"].isin(metrics)]
    rows = rows.drop_duplicates(["trial", "metric"], keep="last").astype({"trial": object, "metric": object})
    return rows.merge(done, on="trial")


def _errors(scene: Scene) -> list[Panel]:
    names = [str(m) for m in scene.run.reports["metric"].unique() if re.search(r"calibration|\bece\b", str(m).lower())]
    tests = [name for name in sorted(names) if "test" in name] or sorted(names)
    panels = []
    for i, metric in enumerate(tests[:2]):
        rows = _last(scene, [metric])
        rows = rows.loc[np.isfinite(rows["value"])]
        if len(rows):
            rows = rows.sort_values("cell", key=lambda cells: cells.map(scene.top.index), kind="stable")
            drawn = figures.answer(rows[["cell", "value"]], scene.looks, metric)
            panels.append(Panel(f"calibration{i}", f"{metric} of every cell", drawn))
    return panels

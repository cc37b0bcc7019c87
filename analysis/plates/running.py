"""The plates of the run itself: early stopping, and how busy the machines were."""

from __future__ import annotations

import math

import numpy as np

from analysis import figures
from analysis.history import lives
from analysis.plates.scene import Panel, Plate, Scene
from analysis.replicates import objectives
from analysis.wording import count, number, seconds


def rungs(scene: Scene) -> Plate:
    """If anything was stopped early."""
    seen = scene.run.judged
    seen = seen.loc[seen["cell"].isin(scene.top) & np.isfinite(seen["value"].astype(float))]
    if not len(seen) or not seen["prune"].any():
        return Plate("Early stopping", "", ())
    goals = objectives(scene.run.lock)
    points = len(seen[["cell", "number"]].drop_duplicates())
    stopped = len(seen.loc[seen["prune"].astype(bool), ["cell", "number"]].drop_duplicates())
    drawn = figures.rungs(seen, scene.looks, goals[0].metric if goals else "objective")
    caption = (
        f"What the scheduler saw of each point while tuning. {stopped:,} of {count(points, 'point')} were stopped, "
        "each at its cross; below, how many went on."
    )
    panels = (Panel("rungs", "early stopping", drawn),)
    return Plate("Early stopping", scene.said(len(scene.top), caption), panels, scene.legend())


def utilisation(scene: Scene) -> Plate:
    ran = lives(scene.run)
    length = max(ran["ended"].tolist()) - min(ran["began"].tolist()) if len(ran) else math.nan
    if not length > 0:
        return Plate("How busy it was", "", ())
    most = (scene.run.lock.get("resources") or {}).get("concurrent")
    drawn = figures.utilisation(ran, float(most) if isinstance(most, int) else math.nan)
    mean = sum((ran["ended"] - ran["began"]).tolist()) / length
    caption = f"Trials that ran at a time: {number(mean, 3)} on average over {seconds(length)}."
    return Plate("How busy it was", caption, (Panel("utilisation", "trials running over time", drawn),))

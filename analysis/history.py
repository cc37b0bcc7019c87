"""When trials ran."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.frames import Run


def lives(run: Run) -> pd.DataFrame:
    """When each attempt ran: trial, phase, began, ended (seconds since 1970).

    An attempt that was never ended, or was found lost by a later driver, counts until the last that its own driver
    is known to have seen.
    """
    known = run.attempts.dropna(subset=["started"])
    phases = dict(zip(run.trials["trial"], run.trials["phase"], strict=True))
    phase = [phases.get(trial) for trial in known["trial"]]
    began, ended = known["started"].to_numpy(dtype=float), known["ended"].to_numpy(dtype=float)
    cut = np.isnan(ended) | (known["outcome"] == "lost").to_numpy(dtype=bool)
    seen = np.sort(np.concatenate([began, ended[~cut], _times(run, "interrupted", "finished")]))
    resumed = np.append(np.sort(_times(run, "resumed")), np.inf)
    until = resumed[np.searchsorted(resumed, began, side="right")]
    last = seen[np.searchsorted(seen, until, side="left") - 1] if len(seen) else began
    frame = pd.DataFrame({"trial": known["trial"], "phase": phase, "began": began})
    return frame.assign(ended=np.where(cut, np.maximum(began, last), ended)).dropna(subset=["phase"])


def _times(run: Run, *events: str) -> np.ndarray:
    return run.events.loc[run.events["event"].isin(events), "time"].dropna().to_numpy(dtype=float)

"""Run folders: ``runs/<sweep>/<date-time>/``. Making them, finding them, and what they say at a glance."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis import records
from analysis.lock import read_lock
from analysis.records import DECISIONS, ENVIRONMENT, LOCK_FILE, Record
from sweeps import lease, storage
from sweeps.lease import RunError
from trainables.config import nearest

_STEM = "%Y%m%d-%H%M%S"
_TIME = re.compile(r"\d{8}-\d{6}(-\d+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_WRITTEN = ("", "ledger", "report", "code", "tensorboard", "trials", "artifacts")  # folders of a run


def default_runs() -> Path:
    """``$ASSAY_RUNS``; else ``runs`` here, or ``~/assay-runs`` inside a Ray job, whose folder goes away."""
    if chosen := os.environ.get("ASSAY_RUNS"):
        return storage.folder_of(chosen)
    return Path.home() / "assay-runs" if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else Path("runs")


def create(runs: Path, sweep: str, name: str = "") -> Path:
    """A new folder, named by the local time; two in one second get different names. One by ``name`` may be there."""
    if name:
        run = runs / sweep / checked_name(name)
        run.mkdir(parents=True, exist_ok=True)
        return run
    stem = datetime.now().astimezone().strftime(_STEM)
    for number in range(1, 1000):
        run = runs / sweep / (stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        return run
    raise RunError(f"{runs / sweep}: cannot make a new run folder")


def checked_name(name: str) -> str:
    """A name that stays one folder on every system. Raises RunError otherwise."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise RunError(f"--name: got {name!r}, expected 1 to 60 letters, digits, '.', '_' and '-', such as baseline-2")
    return name


def find(name: str, runs: Path) -> Path:
    """The run at this path, or ``<sweep>/<date-time>`` or ``<sweep>`` (its latest) under ``runs``."""
    for folder in [storage.folder_of(name)] if "://" in name else [Path(name), runs / name]:
        storage.look(folder)
        if (folder / LOCK_FILE).exists():
            return without_links(folder)
        if latest := max(_runs_in(folder), key=_age, default=None):
            return without_links(latest)
    known = [str(run.relative_to(runs)) for run in all_runs(runs)]
    near = nearest(name, [*known, *(run.partition("/")[0] for run in known)])
    raise RunError(
        f"{name}: no such run" + (f"; did you mean {near}?" if near else f"; `assay runs` lists those in {runs}")
    )


def without_links(run: Path) -> Path:
    """The run folder, which may come from a stranger: what is written into it must not land anywhere else."""
    for folder in (run / part for part in _WRITTEN if (run / part).is_dir()):
        with os.scandir(folder) as entries:
            for link in (Path(entry) for entry in entries if entry.is_symlink()):
                if not link.resolve().is_relative_to(run.resolve()):
                    raise RunError(f"{link}: a link leads out of the run folder, to {link.resolve()}")
    return run


def all_runs(runs: Path) -> list[Path]:
    """Every run folder under ``runs``, oldest first."""
    sweeps = sorted(folder for folder in runs.iterdir() if folder.is_dir()) if runs.is_dir() else []
    return sorted((run for sweep in sweeps for run in _runs_in(sweep)), key=lambda run: (_age(run), run.parent.name))


def _age(run: Path) -> str:
    """Sorts runs, oldest first: those with a name by when their lock file was written, the others by theirs."""
    if _TIME.fullmatch(run.name):
        return run.name
    written = datetime.fromtimestamp((run / LOCK_FILE).stat().st_mtime).astimezone()
    return written.strftime(f"{_STEM} {run.name}")


def _runs_in(folder: Path) -> Iterator[Path]:
    return (lock.parent for lock in folder.glob(f"*/{LOCK_FILE}"))


def write_environment(run: Path, environment: Mapping[str, Any]) -> None:
    (run / ENVIRONMENT).write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def read_environment(run: Path) -> dict[str, Any]:
    path = run / ENVIRONMENT
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged: not a mapping")
    return found


def search_path(run: Path) -> Path:
    """Where the trainable of a run is looked for: where the sweep file was, or here if that is gone."""
    path = Path(str(read_environment(run).get("search_path", ".")))
    with contextlib.suppress(OSError, ValueError):  # no path at all, such as one with a null character
        return path if path.is_dir() else Path.cwd()
    return Path.cwd()


@dataclass
class CellStatus:
    """Trials by phase and state; a trial's state is its last ending, else running or planned."""

    tune: Counter[str] = field(default_factory=Counter)
    confirm: Counter[str] = field(default_factory=Counter)
    best: float | None = None  # of the objective's means over seeds, while tuning
    winners: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Status:
    """A run at a glance, from its decisions alone."""

    run: Path
    state: str  # finished, interrupted, running or broken off
    cells: Mapping[str, CellStatus]
    seconds: float
    started: float
    torn: int
    causes: Mapping[str, int] = field(
        default_factory=Counter
    )  # why attempts failed or were lost, such as "lost: timeout"
    simulated: bool = False  # nothing was trained

    @property
    def words(self) -> str:
        return f"simulated, {self.state}" if self.simulated else self.state

    @property
    def totals(self) -> Counter[str]:
        return sum((cell.tune + cell.confirm for cell in self.cells.values()), Counter())


def status(run: Path, *, maximize: bool = False) -> Status:
    """Read the decisions of a run. ``maximize``: the goal of its first objective."""
    if not (run / DECISIONS).exists():
        return Status(run, "empty", {}, 0.0, 0.0, 0)
    lines = records.read_decisions(run)
    lives = [r for r in lines.records if r["kind"] == "run"]
    cells = {name: CellStatus() for name in (lives[-1].get("cells", []) if lives else [])}
    _count(lines.records, cells)
    _note_results(lines.records, cells, maximize)
    event = lives[-1]["event"] if lives else "started"
    held = event not in ("finished", "interrupted") and lease.is_held(lease.Folder(run / "ledger"))
    state = event if event in ("finished", "interrupted") else "running" if held else "broken off"
    seconds = sum(r.get("seconds", 0.0) for r in lives)
    began = lines.records[0]["time"] if lines.records else 0.0
    causes = Counter(f"{r['kind']}: {r['cause']}" for r in lines.records if r.get("cause"))
    simulated = any(r.get("simulated") for r in lives)
    return Status(run, state, cells, seconds, began, lines.torn, causes, simulated)


def maximizes(run: Path) -> bool:
    """Whether the first objective of a run is maximised."""
    objective = read_lock(run).get("objective")
    first = objective[0] if isinstance(objective, list) and objective else objective
    return isinstance(first, dict) and "maximize" in first


def _count(decisions: list[Record], cells: Mapping[str, CellStatus]) -> None:
    place: dict[str, tuple[str, str]] = {}
    state: dict[str, str] = {}
    for record in decisions:
        trial = record.get("trial")
        if record["kind"] == "planned":
            place[record["trial"]] = (record["cell"], record["phase"])
        if trial is not None:
            state[trial] = "running" if record["kind"] == "started" else record["kind"]
    for trial, (cell, phase) in place.items():
        if cell in cells:
            getattr(cells[cell], phase)[state[trial]] += 1


def _note_results(decisions: list[Record], cells: Mapping[str, CellStatus], maximize: bool) -> None:
    better = max if maximize else min
    for record in decisions:
        cell = cells.get(record.get("cell", ""))
        if cell and record["kind"] == "told" and record["state"] == "COMPLETE":
            value = float(record["values"][0])
            cell.best = value if cell.best is None else better(cell.best, value)
        elif cell and record["kind"] == "winner":
            cell.winners = record["points"]

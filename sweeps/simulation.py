"""A run in virtual time, beside the real ones: what world it is in, and how its ledger says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analysis.records import Record
from cluster.placement import Sizes
from cluster.simulated import Facts
from cluster.simulated import run as run_simulated
from cluster.work import Source
from cluster.world import Clock, Curves, World
from sweeps import folder
from sweeps.curves import LastStep, MadeUp, Recorded
from sweeps.ledger import LedgerSink, RunError
from sweeps.spec import Sweep
from trainables import config as typed
from trainables.api import Order, Sink

KEY = "simulated"  # in environment.json, and in the records of the driver's lives
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def world(words: Sequence[str], curves: str | None = None) -> World:
    """The world that ``KEY=VALUE`` words and YAML files of such keys ask for, later ones first. Raises RunError."""
    values: dict[str, Any] = {}
    for word in words:
        values |= _read(word)
    if curves:
        values["curves"] = str(Path(curves).resolve())
    for problem in typed.check(World, values):
        hint = f"; did you mean {problem.nearest}?" if problem.nearest else f", expected {problem.expected}"
        raise RunError(f"--world: {'.'.join(problem.path)}: {problem.what}: got {problem.got}{hint}")
    return typed.build(World, values)


def _read(word: str) -> Mapping[str, Any]:
    name, equals, value = word.partition("=")
    try:
        text = f"{name}: {value}" if equals else Path(word).read_text(encoding="utf-8")
        found = yaml.load(text, Loader=_YAML)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError):
        raise RunError(f"--world: got {word!r}, expected KEY=VALUE or a YAML file of keys and values") from None
    except yaml.YAMLError as error:
        raise RunError(f"--world: {word}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise RunError(f"--world: got {word!r}, expected KEY=VALUE or a YAML file of keys and values")
    return found


@dataclass(frozen=True)
class _Sinks:
    """Opens the ledger's end of an attempt. Made-up curves are not for TensorBoard."""

    run: Path
    clock: Clock

    def __call__(self, order: Order) -> Sink:
        return LedgerSink(self.run, order, self.clock)


@dataclass(frozen=True)
class Simulation:
    """The world of a run and its time."""

    run: Path
    world: World
    clock: Clock

    def go(self, source: Source, sweep: Sweep, last_step: LastStep, *, stacks: bool, concurrent: int | None) -> Facts:
        cohort = sweep.resources.cohort
        size = (cohort if isinstance(cohort, int) else self.world.cohort) if stacks else 1
        return run_simulated(
            source,
            _Sinks(self.run.resolve(), self.clock),
            world=self.world,
            clock=self.clock,
            curves=self._curves(sweep, last_step),
            resources=sweep.resources,
            max_concurrent=concurrent,
            sizes=Sizes(size),
        )

    def _curves(self, sweep: Sweep, last_step: LastStep) -> Curves:
        if self.world.curves:
            return Recorded(sweep, Path(self.world.curves))
        return MadeUp(sweep, self.world, last_step)


def of(run: Path, backend: str) -> Simulation | None:
    """That of a run which was made to be simulated; None for one that is real. Raises RunError for a mixture."""
    found = folder.read_environment(run).get(KEY)
    if found is None and backend == "simulated":
        raise RunError(f"{run}: this run is real; `assay run --backend simulated` makes one that is simulated")
    if found is None:
        return None
    if backend not in ("", "simulated"):
        raise RunError(f"{run}: this run is simulated and cannot go on with real trials; run the sweep anew")
    return Simulation(run, typed.build(World, found), Clock())


def check(run: Path, simulation: Simulation | None, records: Iterable[Record]) -> None:
    """Refuse real trials in a simulated ledger, and the reverse, whatever environment.json says."""
    lives = [bool(record.get(KEY)) for record in records if record["kind"] == "run"]
    if lives and any(lives) != (simulation is not None):
        kind, other = ("simulated", "real") if any(lives) else ("real", "simulated")
        raise RunError(f"{run}: the ledger is that of a {kind} run, {folder.ENVIRONMENT} that of a {other} one")


def marks(simulation: Simulation | None) -> dict[str, bool]:
    """What a record of the driver's life says beside its event."""
    return {KEY: True} if simulation else {}

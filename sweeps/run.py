"""Puts plan, search, cluster and ledger together: starts a run, or goes on with one."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from analysis.records import LOCK_FILE, SEGMENTS
from cluster.placement import Sizes, memory_of_sizes
from cluster.simulated import Facts
from cluster.world import World
from sweeps import code, folder, plan, resolve, shipping, simulation, space, storage, tensorboard
from sweeps.driver import Driver, OpenSinks, stop_on_signals
from sweeps.environment import environment
from sweeps.lease import Lease, Say
from sweeps.ledger import Ledger, RunError
from sweeps.pauses import short_pauses
from sweeps.plan import Plan
from sweeps.planner import Configs
from sweeps.progress import CellTotals, Progress
from sweeps.resolve import Resolved
from sweeps.search import CONFIRM_SEED, Search
from sweeps.shipping import Shipper
from sweeps.simulation import Simulation
from sweeps.spec import Sweep
from trainables import registry
from trainables.config import per_member
from trainables.registry import Trainable


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what."""

    inline: bool = False  # in this process, without Ray
    address: str | None = None  # of a Ray cluster to join
    concurrent: int | None = None  # trials at a time
    autoscale: bool = False  # let trials wait for nodes that the cluster may add
    optuna_storage: str | None = None  # where to mirror the studies
    allow_code_change: bool = False
    retry_failed: bool = False
    backend: str = ""  # ray, inline or simulated; that of the run if empty, which for a real one is Ray
    takeover: bool = False  # from a driver on another machine that shows no sign of life
    say: Say = lambda _: None  # what the user may want to know before it begins

    @property
    def chosen(self) -> str:
        return "inline" if self.inline else self.backend


def create(resolved: Resolved, runs: Path, world: World | None = None, name: str = "") -> Path:
    """Make a run folder with its environment and its lock file, which comes last: a folder that has one is whole.

    ``world``: where it is simulated.
    """
    run = folder.create(runs, resolved.sweep.sweep, name)
    where = Path(resolved.search_path).resolve()
    seeds = {"sampler": resolved.sweep.search.seed, "tune_from": 0, "confirm_from": CONFIRM_SEED}
    simulated = {simulation.KEY: dataclasses.asdict(world)} if world else {}
    folder.write_environment(run, {**environment(where), "seeds": seeds, "search_path": str(where), **simulated})
    written = run / f".{LOCK_FILE}"
    written.write_text(resolve.dump(resolved), encoding="utf-8")
    written.replace(run / LOCK_FILE)
    return run


def named(resolved: Resolved, runs: Path, name: str, world: World | None = None) -> Path:
    """The run of this sweep with this name, made if there is none.

    Raises:
        RunError: if the run with this name is of another version of the sweep.
    """
    run = runs / resolved.sweep.sweep / folder.checked_name(name)
    storage.look(run)
    if not (run / LOCK_FILE).exists():
        return create(resolved, runs, world, name)
    if (run / LOCK_FILE).read_text(encoding="utf-8") != resolve.dump(resolved):
        hint = f"--into {run} runs into it what it lacks, another --name begins anew"
        raise RunError(f"--name: {run} was made from another version of this sweep; {hint}")
    return folder.without_links(run)


def _replace_sweep(run: Path, resolved: Resolved) -> None:
    """Give a run another sweep; the old lock file is kept beside it."""
    if (run / LOCK_FILE).read_text(encoding="utf-8") == resolve.dump(resolved):
        return
    number = len(list(run.glob("sweep.lock.*.yaml"))) + 1
    shutil.copy(run / LOCK_FILE, run / f"sweep.lock.{number}.yaml")
    (run / LOCK_FILE).write_text(resolve.dump(resolved), encoding="utf-8")


def drive(
    run: Path,
    options: Options,
    edited: Resolved | None = None,
    extend: Callable[[Search], None] = lambda _: None,
) -> str:
    """Run what is missing; returns ``finished``, ``interrupted``, or why the run gave up.

    ``edited``: a sweep that takes the place of the one of the run. ``extend``: plans more than the sweep says.
    """
    with shipping.kept(run, takeover=options.takeover, say=options.say) as shipper:
        return _drive(run, options, edited, extend, shipper)


def _drive(
    run: Path, options: Options, edited: Resolved | None, extend: Callable[[Search], None], shipper: Shipper | None
) -> str:
    sweep = (edited or resolve.load(run / LOCK_FILE)).sweep
    trainable = registry.find(sweep.trainable, folder.search_path(run))
    virtual = simulation.of(run, options.chosen)
    clock = virtual.clock if virtual else time.monotonic
    told = virtual.clock if virtual else time.time
    with Ledger(run, told, takeover=options.takeover, say=options.say).open() as ledger:
        simulation.check(run, virtual, ledger.records)
        if virtual and ledger.records:
            virtual.clock.advance(ledger.records[-1]["time"])
        began = clock()
        earlier_s = sum(r.get("seconds", 0.0) for r in ledger.records if r["kind"] == "run")
        history = cache(ledger.history)
        search = Search(
            sweep,
            configs_of(sweep, trainable),
            record=ledger.record,
            history=lambda trial: history().get(trial, []),
            elapsed_s=lambda: earlier_s + clock() - began,
            on_told=_mirror(options, run, sweep.sweep, simulated=virtual is not None),
        )
        _keep_code(run, trainable, search, options)
        if edited:
            _replace_sweep(run, edited)
        for cell in search.cells:
            ledger.record_cell(cell.id, dict(cell.levels), search.studies[cell.id].signature)
        with _ray(sweep, options, simulated=virtual is not None) as up:
            replay(search, ledger, retry_failed=options.retry_failed)
            extend(search)
            event = "resumed" if ledger.records else "started"
            marks = simulation.marks(virtual)
            ledger.record("run", event=event, cells=[cell.id for cell in search.cells], **marks)
            if shipper:
                shipper.begin(ledger)
            if not virtual:
                tensorboard.write_experiment(
                    run / "tensorboard", tensorboard.parameters(sweep), tensorboard.metrics(sweep)
                )
            driver = _go(sweep, trainable, run, search, options, virtual, ledger.lease, up)
            event = "interrupted" if driver.stopping else "finished"
            cells = [cell.id for cell in search.cells]
            ledger.record("run", event=event, seconds=round(clock() - began, 3), cells=cells, **marks)
    if event == "finished":
        _tidy(run)
    return driver.gave_up or event


def whose(run: Path) -> str:
    """The code that a run executes, and where it comes from."""
    return registry.find(resolve.load(run / LOCK_FILE).sweep.trainable, folder.search_path(run)).whose


def replay(search: Search, ledger: Ledger, *, retry_failed: bool = False) -> None:
    """Bring the search back. Nothing in this is garbage, and looking for some would take a third of the time."""
    gc.disable()
    try:
        search.replay(ledger.records, retry_failed=retry_failed)
    finally:
        gc.enable()


def configs_of(sweep: Sweep, trainable: Trainable) -> Configs:
    """What the search has to know of the configs of a trainable."""
    return Configs(
        resolve=cached_resolve(trainable),
        shape=trainable.shape if stacks(sweep, trainable) else lambda _: "",
        last_step=lambda config: _last_step(trainable, config),
        held=_held(sweep, trainable) if stacks(sweep, trainable) else frozenset(),
    )


def stacks(sweep: Sweep, trainable: Trainable) -> bool:
    """Whether trials of this sweep run in cohorts."""
    resources = sweep.resources
    return trainable.stacks and resources.cohort not in ("off", 1) and not resources.workers


def _held(sweep: Sweep, trainable: Trainable) -> frozenset[str]:
    """The nuisance parameters that change the shape of tensors."""
    members = {".".join(path) for path in _per_member(trainable, sweep)}
    return frozenset(set(sweep.nuisance) - members)


def cached_resolve(trainable: Trainable) -> Any:
    """``trainable.resolve``, quicker where many trials share a config."""
    known: dict[str, Mapping[str, Any]] = {}

    def resolve_once(config: Mapping[str, Any]) -> Mapping[str, Any]:
        key = repr(config)
        if key not in known:
            known[key] = trainable.resolve(config)
        return known[key]

    return resolve_once


def _last_step(trainable: Trainable, config: Mapping[str, Any]) -> int | None:
    return trainable.steps(trainable.build(config)) if trainable.steps else None


def _keep_code(run: Path, trainable: Trainable, search: Search, options: Options) -> None:
    """Copy the code into a new run; refuse to mix other code into an old one."""
    found = trainable_sources(trainable, search)
    if (changed := code.diff(run, found)) and not options.allow_code_change:
        lines = "\n".join(changed[:40])
        raise RunError(f"{run}: the code has changed since this run began; --allow-code-change goes on anyway\n{lines}")
    if changed:
        shutil.rmtree(run / code.FOLDER)
    code.save(run, found)


def trainable_sources(trainable: Trainable, search: Search) -> dict[str, Path]:
    """The code that the cells of a sweep run: the trainable, its components, and what they import."""
    configs = [
        trainable.build(space.config(search.sweep, c, plan.middle(search.studies[c.id].space))) for c in search.cells
    ]
    return code.sources({trainable.module}.union(*(code.modules_of(config) for config in configs)))


def _mirror(options: Options, run: Path, sweep: str, *, simulated: bool) -> Any:
    if options.optuna_storage is None:
        return lambda _study, _number: None
    if simulated:
        raise RunError("--optuna-storage: got a simulated run, expected a real one; its values are made up")
    from sweeps.mirror import Mirror

    return Mirror(options.optuna_storage, f"{sweep}/{run.name}")


def _go(
    sweep: Sweep,
    trainable: Trainable,
    run: Path,
    search: Search,
    options: Options,
    virtual: Simulation | None,
    lease: Lease,
    up: Callable[[], None],
) -> Driver:
    totals = {
        c.id: CellTotals(tune=search.studies[c.id].points * sweep.seeds.tune, confirm=sweep.seeds.confirm)
        for c in search.cells
    }
    first = sweep.objectives[0]
    name, clock = (f"{sweep.sweep} (simulated)", virtual.clock) if virtual else (sweep.sweep, time.monotonic)
    with Progress(name, totals, (first.metric, first.goal), clock=clock, pace=time.monotonic) as progress:
        for planned, outcome in search.finished():
            progress.ended(planned.cell, planned.phase, outcome, 0.0)
        driver = Driver(sweep, run, search, progress, folder.search_path(run), clock)
        lease.on_lost = driver.stop  # what it would decide from now on is refused
        with stop_on_signals(driver.stop, progress.message):
            if virtual:
                progress.message(_simulate(sweep, trainable, driver, options, virtual).sentence())
            else:
                _backend(sweep, run, driver, options, cohort_sizes(sweep, trainable), up)
        driver.finish()
    return driver


def _simulate(sweep: Sweep, trainable: Trainable, driver: Driver, options: Options, virtual: Simulation) -> Facts:
    with short_pauses():
        return virtual.go(
            driver,
            sweep,
            lambda config: _last_step(trainable, config),
            stacks=stacks(sweep, trainable),
            concurrent=options.concurrent or sweep.resources.concurrent,
        )


def cohort_sizes(sweep: Sweep, trainable: Trainable) -> Sizes:
    """How many of its trials a process stacks."""
    if not stacks(sweep, trainable):
        return Sizes(1)
    cohort = sweep.resources.cohort
    return Sizes(cohort) if isinstance(cohort, int) else Sizes(memory=memory_of_sizes())


@contextlib.contextmanager
def _ray(sweep: Sweep, options: Options, *, simulated: bool) -> Iterator[Callable[[], None]]:
    """Have Ray start at once where trials run on it; what this yields waits for it. Meanwhile the search comes back."""
    if simulated or options.chosen == "inline":
        yield lambda: None
        return
    from cluster import session

    with session.beginning(options.address, dashboard=sweep.resources.workers > 0) as up:
        yield up


def _backend(sweep: Sweep, run: Path, driver: Driver, options: Options, sizes: Sizes, up: Callable[[], None]) -> None:
    open_sinks = OpenSinks(run.resolve())
    if options.chosen == "inline":
        from cluster import inline

        inline.run(driver, open_sinks, sizes)
        return
    address = options.address or os.environ.get("RAY_ADDRESS")
    driver.progress.message(f"joining Ray at {address}" if address else "starting Ray")
    from cluster import shared, tune  # which takes its time, too

    up()
    shared.check(run.resolve(), sweep.resources)
    with short_pauses():  # here no trial trains, whose garbage might be large
        tune.run(
            driver,
            open_sinks,
            resources=sweep.resources,
            max_concurrent=options.concurrent or sweep.resources.concurrent,
            autoscale=options.autoscale,
            sizes=sizes,
            say=driver.progress.message,
            folder=run.resolve(),
        )


def _tidy(run: Path) -> None:
    """Compact the reports, and drop the states that other trials could have started from."""
    shutil.rmtree(run / "milestones", ignore_errors=True)
    if any(run.glob(SEGMENTS)):
        from analysis.segments import compact

        compact(run)


def make_plan(resolved: Resolved, runs: Path, options: Options, seconds: dict[str, float] | None = None) -> Plan:
    """The plan of a sweep, its times from ``seconds`` by cell, or from past runs of it."""
    sweep = resolved.sweep
    trainable = registry.find(sweep.trainable, resolved.search_path)
    source = "a probe" if seconds else "past runs"
    times = seconds or plan.past_seconds(sweep, runs)
    members = _per_member(trainable, sweep)
    return plan.make(
        sweep,
        members,
        seconds=times,
        estimate_from=source,
        concurrent=options.concurrent,
        stacks=stacks(sweep, trainable),
        code=trainable.whose,
    )


def _per_member(trainable: Trainable, sweep: Sweep) -> set[tuple[str, ...]]:
    from sweeps import space

    if trainable.config is None:
        return set()
    configs = [space.config(sweep, cell, {}) for cell in space.cells(sweep)]
    return set().union(*(per_member(trainable.config, config) for config in configs))

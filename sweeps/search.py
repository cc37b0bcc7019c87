"""The search over all cells: tune every cell with the same budget, then confirm each winner on fresh seeds.

``Search`` is event-sourced. Everything that it decides goes through ``record``, and replaying those records in their
order brings it back to the same state: the same questions to Optuna, the same answers, the same open trials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from analysis.records import CONFIRM_SEED, ENDINGS, Record
from cluster.failures import Loss, decide, is_loss, most_together, share_of_gpu
from cluster.placement import fair_share
from cluster.work import Ending, Idle, Report
from sweeps import space
from sweeps.objective import observe, recorded
from sweeps.planner import Configs, Planned, Planner
from sweeps.population import Population
from sweeps.questions import Life, Question, answer, of_current_studies
from sweeps.space import Cell
from sweeps.spec import Sweep
from sweeps.study import CellStudy, budget
from sweeps.waiting import Waiting
from trainables.api import Cause, Outcome


class Search:
    """Gives out trials and learns what became of them.

    Args:
        configs: what there is to know of the configs of the trainable.
        record: takes the kind and the fields of each decision; has to ignore those that it holds already.
        history: the reports of a trial in earlier lives of the run.
        elapsed_s: seconds of run time so far, over all lives; by this clock trials wait for another attempt, too.
    """

    def __init__(
        self,
        sweep: Sweep,
        configs: Configs,
        *,
        record: Callable[..., None],
        history: Callable[[str], Sequence[Report]] = lambda _: (),
        elapsed_s: Callable[[], float] = time.monotonic,
        on_told: Callable[[CellStudy, int], None] = lambda _study, _number: None,
    ) -> None:
        self.sweep, self.cells = sweep, space.cells(sweep)
        self._configs, self._planner = configs, Planner(sweep, configs)
        self._record, self._history = record, history
        self._elapsed_s, self._on_told = elapsed_s, on_told
        self.studies = {cell.id: self._study(cell) for cell in self.cells}
        self._populations = self._make_populations()
        self._lives: dict[str, Life] = {}
        self._waiting: dict[str, list[Question]] = {}  # trial -> those that wait for it, or did
        self._questions: dict[tuple[str, int], Question] = {}  # by cell and number
        self._on_disk: set[str] = set()  # trials whose plan is recorded
        self._queue = Waiting(elapsed_s)
        self._running: set[str] = set()
        self._losses: dict[str, list[Loss]] = {}  # of each trial since it last began afresh
        self._ends: dict[str, Record] = {}  # of trials in the ledger that nothing has asked for yet
        self._pruned: set[str] = set()
        self._confirmed: set[str] = set()  # cells whose winners are planned
        self._confirm_seeds: dict[str, int] = {}  # of the cells that were given more than the sweep says

    def _study(self, cell: Cell) -> CellStudy:
        hyperband = self.sweep.scheduler.name == "hyperband"
        steps = self._configs.last_step(space.config(self.sweep, cell, {})) if hyperband else None
        return CellStudy(self.sweep, cell, budget(self.sweep, self.cells, cell), steps, self._configs.held)

    def _make_populations(self) -> dict[str, Population]:
        rule, goal = self.sweep.scheduler, self.sweep.objectives[0].goal
        evolving = self.cells if rule.name == "pbt" else []
        return {cell.id: Population(rule, goal, self.sweep.search.seed) for cell in evolving}

    # --- giving out ---------------------------------------------------------------------------------------------------

    def next(self) -> Planned | Idle:
        """The next trial to start. The caller says ``started``, ``reported`` and ``ended`` for it."""
        while True:
            if trial := self._queue.take():
                life = self._lives[trial]
                if life.outcome is not None:
                    continue
                if trial not in self._pruned:
                    return life.planned
                self._finish(life, Ending(Outcome.PRUNED), 0.0)
            elif study := self._study_to_ask():
                self._ask(study)
            elif self._running or self._queue:
                return Idle.WAIT
            else:
                for study in self.studies.values():
                    self._confirm_if_tuned(study)
                if not self._queue:
                    return Idle.FINISHED

    def most_together(self, trial: str) -> int | None:
        """How many trials its process may have, itself included; None if any number."""
        return most_together(self._losses.get(trial, ()))

    def gpus(self, trial: str) -> float:
        """For its next attempt: more than the sweep says after its share of the memory was too small."""
        return share_of_gpu(self.sweep.resources.gpus, self._losses.get(trial, ()))

    def alike(self, planned: Planned, most: int, sharing: int = 1, idle: int = 1) -> list[Planned]:
        """More trials to start, which may run stacked with ``planned``: at most so many.

        They are a fair part of what there is to do, if so many processes share it, of which so many are idle.
        """
        askable = sum(study.room for study in self.studies.values() if self._able(study))
        ready = 1 + len(self._queue) + self.sweep.seeds.tune * askable
        most = min(most, fair_share(ready, most + 1, sharing, idle) - 1)
        found: list[Planned] = []
        while len(found) < most and (other := self._next_alike(planned)):
            found.append(other)
        return found

    def _next_alike(self, planned: Planned) -> Planned | None:
        """From the queue; else from a study that may still propose such a trial, of the same cell if it can be.

        Trials that have lost a process together may do so again: they meet no others.
        """
        together = self.most_together(planned.trial)

        def fits(trial: str) -> bool:
            life = self._lives[trial]
            alike = life.planned.shape == planned.shape and self.most_together(trial) == together
            return alike and life.outcome is None and trial not in self._pruned

        while True:
            if trial := self._queue.take(fits):
                return self._lives[trial].planned
            if together is not None:
                return None
            able = [s for s in self.studies.values() if s.room and self._able(s) and self._may_propose(s, planned)]
            if not able:
                return None
            self._ask(min(able, key=lambda study: (study.cell.id != planned.cell, len(study.asked))))

    def _may_propose(self, study: CellStudy, planned: Planned) -> bool:
        """Unless its last point had another shape."""
        last = self._questions.get((study.cell.id, len(study.asked) - 1))
        return last is None or any(self._lives[trial].planned.shape == planned.shape for trial in last.trials)

    def _study_to_ask(self) -> CellStudy | None:
        able = [study for study in self.studies.values() if self._able(study)]
        return min(able, key=lambda study: len(study.asked), default=None)

    def _able(self, study: CellStudy) -> bool:
        most = self.sweep.search.concurrent
        return not study.exhausted and not self._out_of_time and (most is None or study.in_flight < most)

    @property
    def _out_of_time(self) -> bool:
        limit = self.sweep.search.time_s
        return limit is not None and self._elapsed_s() >= limit

    def _ask(self, study: CellStudy) -> None:
        number, point = study.ask()
        self._record("asked", cell=study.cell.id, number=number, point=space.point_id(point), params=dict(point))
        self._open(study, number)

    def _open(self, study: CellStudy, number: int) -> None:
        seeds = range(self.sweep.seeds.tune)
        question = Question(study.cell.id, number, [])
        question.trials = [self._plan(study, "tune", number, seed) for seed in seeds]
        self._questions[study.cell.id, number] = question
        for trial in question.trials:
            self._waiting.setdefault(trial, []).append(question)
        for trial in question.trials:
            self._take_end(trial)
        self._settle(question)

    def _plan(self, study: CellStudy, phase: str, number: int, seed: int) -> str:
        planned = self._planner.planned(study, phase, number, seed)
        if planned.trial not in self._lives:
            self._lives[planned.trial] = Life(planned)
            self._queue.add(planned.trial)
        if planned.trial not in self._on_disk:
            self._on_disk.add(planned.trial)
            self._record(
                "planned",
                trial=planned.trial,
                cell=planned.cell,
                phase=phase,
                point=planned.point_id,
                params=dict(planned.point),
                seed=seed,
                config=planned.config,
                **({"earlier": planned.earlier} if planned.earlier else {}),
            )
        return planned.trial

    # --- being told ---------------------------------------------------------------------------------------------------

    def started(self, trial: str) -> int:
        """Count a new attempt and return its number."""
        life = self._lives[trial]
        self._running.add(trial)
        if life.earlier and not life.reports:
            life.reports = {report.step: report for report in self._history(trial)}
        life.attempts += 1
        gpus = self.gpus(trial)
        larger = {"gpus": gpus} if gpus != self.sweep.resources.gpus else {}
        self._record("started", trial=trial, attempt=life.attempts, **larger)
        return life.attempts

    def reported(self, trial: str, reports: Sequence[Report]) -> bool:
        """Take reports in order; False if the scheduler stops the trial."""
        life = self._lives[trial]
        for report in reports:
            life.reports[report.step] = report
            if self.judges_reports:
                self._judge(trial, report.step)
        return trial not in self._pruned

    @property
    def judges_reports(self) -> bool:
        return self.sweep.scheduler.name != "none"

    def _judge(self, trial: str, step: int) -> None:
        metric = self.sweep.objectives[0].metric
        for question in self._waiting.get(trial, []):
            found = [self._lives[t].reports.get(step) for t in question.trials]
            values = [report.metrics[metric] for report in found if report and metric in report.metrics]
            if len(values) == len(question.trials) and step not in question.judged:
                self._show_scheduler(question, step, fmean(values))

    def _show_scheduler(self, question: Question, step: int, value: float, said: bool | None = None) -> None:
        question.judged.add(step)
        study = self.studies[question.cell]
        donor = self._populations[question.cell].donor(question.number, step, value) if self._populations else None
        prune = study.judge(question.number, step, value, said) or donor is not None
        self._record("judged", cell=question.cell, number=question.number, step=step, value=value, prune=prune)
        if prune:
            self._pruned.update(t for t in question.trials if self._lives[t].outcome is None)
        if donor is not None:
            self._replace(study, question.number, step, *donor)

    def _replace(self, study: CellStudy, number: int, step: int, donor: int, donor_step: int) -> None:
        """Put a perturbed copy of ``donor``, going on from its state, in the place of the point ``number``."""
        good = study.asked[donor]
        point = self._populations[study.cell.id].perturbed(good, study.space, number, step)
        earlier = (*study.earlier.get(donor, ()), (good, donor_step))
        new = study.take_over(good if study.breaks(point) else point, earlier)
        stages = [[dict(p), until] for p, until in earlier]
        params = dict(study.asked[new])
        self._record(
            "asked", cell=study.cell.id, number=new, point=space.point_id(params), params=params, earlier=stages
        )
        self._open(study, new)

    def ended(self, trial: str, ending: Ending, seconds: float = 0.0) -> Ending:
        """Take the end of an attempt, and return it as it counts. A lost one is queued again, while it has retries."""
        life, losses = self._lives[trial], self._losses.setdefault(trial, [])
        if is_loss(ending):
            losses.append(Loss(ending.cause, ending.suspects))
        resources = self.sweep.resources
        decision = decide(ending, trial, losses, resources.retries, resources.gpus)
        if decision.retry:
            ending = replace(ending, outcome=Outcome.LOST)
        elif ending.outcome == Outcome.LOST:
            ending = replace(ending, outcome=Outcome.FAILED)
        self._finish(life, ending, seconds)
        if decision.retry:
            self._queue.add_again(trial, decision.wait_s)
        return ending

    def _finish(self, life: Life, ending: Ending, seconds: float) -> None:
        if ending.outcome == Outcome.DONE:
            life.values = observe(self.sweep, [life.reports[step] for step in sorted(life.reports)])
        self._record(
            ending.outcome.value,
            trial=life.planned.trial,
            attempt=life.attempts,
            seconds=round(seconds, 4),
            error=ending.error,
            **({"cause": ending.cause.value} if ending.cause else {}),
            **({"suspects": ending.suspects} if ending.suspects > 1 else {}),
            values=dict(life.values),
        )
        self._end(life, ending.outcome)

    def _end(self, life: Life, outcome: Outcome) -> None:
        self._running.discard(life.planned.trial)
        if outcome in (Outcome.LOST, Outcome.CANCELLED):
            return
        life.outcome, life.reports = outcome, {}
        self._losses.pop(life.planned.trial, None)
        for question in self._waiting.get(life.planned.trial, []):
            self._settle(question)

    def _settle(self, question: Question) -> None:
        """Tell the study, once every trial of the point is final."""
        lives = [self._lives[trial] for trial in question.trials]
        study = self.studies[question.cell]
        if any(life.outcome is None for life in lives) or question.number in study.told:
            return
        told, broken = answer(self.sweep, lives)
        study.tell(question.number, told, broken)
        values = list(told.values)
        self._record("told", cell=question.cell, number=question.number, state=told.state.name, values=values)
        self._on_told(study, question.number)
        self._confirm_if_tuned(study)

    def _confirm_if_tuned(self, study: CellStudy) -> None:
        tuned = (study.exhausted or (self._out_of_time and study.asked)) and study.in_flight == 0
        if tuned and study.cell.id not in self._confirmed:
            self._confirm(study)

    def _confirm(self, study: CellStudy) -> None:
        self._confirmed.add(study.cell.id)
        winners = study.winners()
        self._record("winner", cell=study.cell.id, points=[space.point_id(study.asked[n]) for n in winners])
        self._plan_confirm(study, winners)

    def _plan_confirm(self, study: CellStudy, winners: Sequence[int]) -> None:
        count = max(self.sweep.seeds.confirm, self._confirm_seeds.get(study.cell.id, 0))
        for number in winners:
            for seed in range(CONFIRM_SEED, CONFIRM_SEED + count):
                self._take_end(self._plan(study, "confirm", number, seed))

    def confirm_more(self, cell: str, seeds: int, most: int) -> None:
        """Give the winners of a cell so many confirm seeds in all, in a design that goes up to ``most``."""
        self._record("confirm", cell=cell, seeds=seeds, most=most)
        self._confirm_seeds[cell] = seeds
        if cell in self._confirmed:
            self._plan_confirm(self.studies[cell], self.studies[cell].winners())

    # --- coming back --------------------------------------------------------------------------------------------------

    def replay(self, records: Iterable[Record], *, retry_failed: bool = False) -> None:
        """Take the decisions of earlier lives. What was open then is queued again; what was final stays final."""
        records = list(records)
        self._on_disk = {record["trial"] for record in records if record["kind"] == "planned"}
        for record in of_current_studies(records, self.studies):
            kind = record["kind"]
            if kind == "asked":
                self._replay_asked(record)
            elif kind == "judged":
                self._replay_judged(record)
            elif kind == "started" and record["trial"] in self._lives:
                self._replay_started(self._lives[record["trial"]], record["attempt"])
            elif kind in ENDINGS:
                self._ends[record["trial"]] = record
                self._replay_loss(record)
                self._take_end(record["trial"])
            elif kind == "winner" and self.sweep.search.time_s and record["cell"] not in self._confirmed:
                self._confirm(self.studies[record["cell"]])
            elif kind == "confirm":
                self.confirm_more(record["cell"], record["seeds"], record["most"])
        failed = [life for life in self._lives.values() if life.outcome == Outcome.FAILED]
        for life in failed if retry_failed else []:
            self._reopen(life)
        self._queue = Waiting(self._elapsed_s, (t for t, life in self._lives.items() if life.outcome is None))

    def _replay_loss(self, record: Record) -> None:
        if record["kind"] == Outcome.LOST:
            loss = Loss(Cause(record.get("cause", Cause.DIED)), record.get("suspects", 1))
            self._losses.setdefault(record["trial"], []).append(loss)

    def _replay_started(self, life: Life, attempt: int) -> None:
        life.attempts, life.earlier = attempt, True
        if life.outcome == Outcome.FAILED:
            self._reopen(life)

    def _reopen(self, life: Life) -> None:
        """Let a failed trial run again. Its points are open until then, and their cells have no winner."""
        life.outcome = None
        for question in self._waiting.get(life.planned.trial, []):
            self.studies[question.cell].untell(question.number)
            self._confirmed.discard(question.cell)

    def finished(self) -> list[tuple[Planned, Outcome]]:
        """The trials that are final."""
        return [(life.planned, life.outcome) for life in self._lives.values() if life.outcome is not None]

    def _take_end(self, trial: str) -> None:
        """End a trial that is planned here and has ended in the ledger."""
        if trial not in self._lives or trial not in self._ends:
            return
        life, record = self._lives[trial], self._ends.pop(trial)
        life.attempts, life.earlier = max(life.attempts, record["attempt"]), True
        if life.outcome is None:
            life.values = recorded(self.sweep, record, self._history) if record["kind"] == Outcome.DONE else {}
            self._end(life, Outcome(record["kind"]))

    def _replay_asked(self, record: Record) -> None:
        study = self.studies[record["cell"]]
        if study.exhausted or record.get("earlier"):  # what took over comes back with the judgement that called it
            return
        self._open(study, study.asked_before(record["params"]))

    def _replay_judged(self, record: Record) -> None:
        question = self._questions.get((record["cell"], record["number"]))
        if question and record["number"] not in self.studies[record["cell"]].told:
            self._show_scheduler(question, record["step"], float(record["value"]), record["prune"])

"""The two phases, what Optuna is told, and that replaying the decisions brings the search back."""

from __future__ import annotations

import math
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState
from sweeps_for_tests import Life, loss, sweep

from sweeps.planner import Configs
from sweeps.search import CONFIRM_SEED
from trainables.api import Outcome

ONE_CELL = {"factors": {}, "seeds": {"tune": 1, "confirm": 0}}


def plain_optuna(sampler: optuna.samplers.BaseSampler, points: int) -> list[dict]:
    """What a plain Optuna loop proposes for the toy's space and loss."""

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-3, 1.0, log=True)
        trial.suggest_int("n", 1, 5)
        return (lr - 0.1) ** 2

    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=points)
    return [trial.params for trial in study.trials]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_points_are_those_of_plain_optuna(name):
    samplers = {
        "random": lambda: optuna.samplers.RandomSampler(seed=7),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=7, scramble=True, warn_independent_sampling=False),
        "tpe": lambda: optuna.samplers.TPESampler(seed=7, multivariate=True, constant_liar=True),
    }
    life = Life(sweep(**ONE_CELL, search={"sampler": name, "points": 25, "seed": 7})).run()
    assert [dict(planned.point) for planned in life.started] == plain_optuna(samplers[name](), 25)


@pytest.mark.parametrize("name", ["random", "qmc", "tpe", "gp", "cmaes", "nsga2"])
def test_every_cell_is_tuned_with_the_same_budget_then_its_winner_confirmed(name):
    life = Life(sweep(search={"sampler": name, "points": 6})).run()
    phases = Counter((planned.cell, planned.phase) for planned in life.started)
    assert phases == {(f"a={a}", phase): n for a in (1, 2) for phase, n in (("tune", 6), ("confirm", 3))}
    for cell in ("a=1", "a=2"):
        tuned = [p for p in life.started if p.cell == cell and p.phase == "tune"]
        confirmed = [p for p in life.started if p.cell == cell and p.phase == "confirm"]
        best = min(tuned, key=lambda p: loss(p)[-1])
        assert {p.point_id for p in confirmed} == {best.point_id}
        assert [p.seed for p in confirmed] == [CONFIRM_SEED, CONFIRM_SEED + 1, CONFIRM_SEED + 2]


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_concurrency_does_not_change_which_trials_run(name):
    space = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 3}, "n": {"low": 1, "high": 2}}
    asked = sweep(nuisance=space, search={"sampler": name, "points": 6})
    alone, crowd = Life(asked).run(), Life(asked).run(at_a_time=5)
    assert sorted(alone.trials) == sorted(crowd.trials)


def test_grid_visits_every_point_once():
    space = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 3}, "n": {"low": 1, "high": 2}}
    life = Life(sweep(nuisance=space, search={"sampler": "grid"})).run()
    points = [tuple(p.point.values()) for p in life.started if p.cell == "a=1" and p.phase == "tune"]
    assert sorted(points) == [(lr, n) for lr in (0.01, 0.1, 1.0) for n in (1, 2)]


def test_sampler_sees_the_mean_over_seeds():
    life = Life(sweep(seeds={"tune": 3, "confirm": 0})).run()
    for told in life.of_kind("told"):
        study = life.search.studies[told["cell"]]
        point = study.asked[told["number"]]
        finals = [loss(p)[-1] for p in life.started if p.cell == told["cell"] and p.point == point]
        assert len(finals) == 3
        assert study.study.trials[told["number"]].value == pytest.approx(sum(finals) / 3)


def test_endings_are_told_as_what_they_are():
    ends = iter([Outcome.DIVERGED, Outcome.FAILED])
    life = Life(sweep(**ONE_CELL, search={"sampler": "random", "points": 4}), lambda p: next(ends, loss(p))).run()
    states = [trial.state for trial in life.search.studies["all"].study.trials]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_scheduler_stops_trials_and_optuna_hears_of_it():
    values = iter([10.0] * 4 + [60.0] * 4)  # the first points are good, later ones are bad at every step
    median = {"name": "median", "grace_steps": 2, "warmup_points": 3}
    asked = sweep(**ONE_CELL, search={"sampler": "random", "points": 8}, scheduler=median)
    life = Life(asked, lambda _: [next(values)] * 5).run()
    states = [trial.state for trial in life.search.studies["all"].study.trials]
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.PRUNED] * 4
    assert {r["step"] for r in life.of_kind("judged") if r["prune"]} == {2}


def test_one_seed_that_fails_makes_the_point_fail():
    life = Life(
        sweep(**{**ONE_CELL, "seeds": {"tune": 2, "confirm": 0}}),
        lambda planned: Outcome.DIVERGED if planned.seed == 1 else loss(planned),
    ).run()
    assert {r["state"] for r in life.of_kind("told")} == {"FAIL"}
    assert life.of_kind("winner")[0]["points"] == []


def test_reports_on_disk_are_read_for_trials_of_an_earlier_life_only():
    """They are all of the run's; to read them for a trial that was lost just now takes minutes in a large one."""
    read: list[str] = []
    one = {**ONE_CELL, "search": {"sampler": "random", "points": 1}}
    life = Life(sweep(**one, resources={"retries": 1}), lambda _: Outcome.LOST)
    life.search._history = lambda trial: read.append(trial) or ()
    life.run(trials=2)
    assert len(life.of_kind("started")) == 2
    assert not read
    again = life.resumed(upto=-1)
    again.search._history = lambda trial: read.append(trial) or ()
    again.run(trials=1)
    assert read == again.trials


def test_lost_trials_are_tried_again_until_the_retries_are_used_up():
    life = Life(sweep(**ONE_CELL, resources={"retries": 2}), lambda _: Outcome.LOST)
    life.run()
    per_trial = Counter(life.trials)
    assert set(per_trial.values()) == {3}
    assert {r["attempt"] for r in life.of_kind("started")} == {1, 2, 3}
    assert len(life.of_kind("failed")) == len(per_trial)


def test_who_waits_for_another_attempt_holds_up_no_other():
    first: list[str] = []

    def answer(planned):
        if planned.trial in first or len(first) >= 2:
            return loss(planned)
        first.append(planned.trial)
        return Outcome.LOST

    life = Life(sweep(**ONE_CELL), answer).run()
    again = [n for n, trial in enumerate(life.trials) if trial in life.trials[:n]]
    assert again == [6, 7], "after the six points, of which none had to wait"
    assert life.now >= 0.5
    assert len(life.of_kind("done")) == 6


STACKING = Configs(resolve=lambda config: config, shape=lambda _: "s")
MANY = {"search": {"sampler": "random", "points": 40}, "seeds": {"tune": 1, "confirm": 0}}


@pytest.mark.parametrize("number", [0, 17, 39])
def test_who_takes_its_process_along_is_found_out_and_nobody_else_fails(number):
    guilty = Life(sweep(**ONE_CELL | MANY), configs=STACKING).run().trials[number]
    life = Life(sweep(**ONE_CELL | MANY), configs=STACKING, deadly=lambda planned: planned.trial == guilty)
    life.run_groups(most=32)
    assert [record["trial"] for record in life.of_kind("failed")] == [guilty]
    assert len({record["trial"] for record in life.of_kind("done")}) == 39
    attempts = Counter(life.trials)
    assert attempts[guilty] <= 5 + 3, "halved down to one, and three attempts alone"
    assert max(n for trial, n in attempts.items() if trial != guilty) <= 6
    (failed,) = life.of_kind("failed")
    assert (failed["cause"], failed["error"]) == ("process died", "gone")


@pytest.mark.parametrize("stop", [1, 7, 11])
def test_losses_count_on_after_the_driver_was_killed(stop):
    first = Life(sweep(**ONE_CELL, resources={"retries": 2}), lambda _: Outcome.LOST).run(trials=stop)
    again = first.resumed().run()
    lost = Counter(record["trial"] for life in (first, again) for record in life.of_kind("lost"))
    assert len(lost) == len(again.of_kind("failed")) == 6
    assert set(lost.values()) == {2}, "and not two in each life"


def test_front_of_two_objectives_is_confirmed():
    asked = sweep(
        factors={},
        objective=[{"minimize": "loss"}, {"maximize": "size"}],
        search={"sampler": "nsga2", "points": 12},
        seeds={"tune": 1, "confirm": 2},
    )
    life = Life(asked)
    from cluster.work import Ending, Idle, Report

    while not isinstance(planned := life.search.next(), Idle):
        life.started.append(planned)
        life.search.started(planned.trial)
        metrics = {"loss": planned.config["lr"], "size": float(planned.config["n"])}
        life.search.reported(planned.trial, [Report(1, metrics)])
        life.search.ended(planned.trial, Ending(Outcome.DONE))
    tuned = [p for p in life.started if p.phase == "tune"]
    front = {
        p.point_id
        for p in tuned
        if not any(
            q.config["lr"] <= p.config["lr"] and q.config["n"] >= p.config["n"] and q.point != p.point for q in tuned
        )
    }
    assert Counter(p.point_id for p in life.started if p.phase == "confirm") == dict.fromkeys(front, 2)


def test_constraints_between_parameters_hold_in_every_point():
    space = {"low": {"low": 0.0, "high": 1.0}, "high": {"low": 0.0, "high": 1.0}}
    life = Life(
        sweep(nuisance=space, constraints={"low": {"at_most": "high"}}, search={"sampler": "tpe", "points": 15})
    )
    life.run()
    assert all(p.point["low"] <= p.point["high"] for p in life.started)
    assert Counter(p.phase for p in life.started)["tune"] == 30


def test_constrained_metric_keeps_an_infeasible_best_from_winning():
    asked = sweep(**ONE_CELL, constraints={"loss": {"at_least": 0.01}})
    life = Life(asked).run()
    study = life.search.studies["all"]
    winner = study.winners()[0]
    feasible = [t.values[0] for t in study.told.values() if t.values[0] >= 0.01]
    assert study.told[winner].values[0] == min(feasible)
    assert min(t.values[0] for t in study.told.values()) < 0.01


def test_conditional_parameters_exist_only_where_they_should():
    space = {
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        "kind": {"choices": ["plain", "momentum"]},
        "momentum": {"low": 0.0, "high": 1.0, "when": {"kind": "momentum"}},
        "extra": {"low": 0.0, "high": 1.0, "when": {"a": 2}},
    }
    life = Life(sweep(nuisance=space, search={"sampler": "tpe", "points": 20})).run()
    for planned in life.started:
        assert ("momentum" in planned.point) == (planned.point["kind"] == "momentum")
        assert ("extra" in planned.point) == (planned.cell == "a=2")


@pytest.mark.parametrize("at", ["last", "best", {"mean_of_last": 2}])
def test_objective_reads_the_reports_it_names(at):
    curve = [3.0, 1.0, 2.0]
    life = Life(sweep(**ONE_CELL, objective={"minimize": "loss", "at": at}), lambda _: curve).run()
    expected = {"last": 2.0, "best": 1.0}.get(at, 1.5) if isinstance(at, str) else 1.5
    assert {r["values"][0] for r in life.of_kind("told")} == {expected}


@pytest.mark.parametrize("name", ["random", "tpe", "grid"])
def test_replay_at_any_cut_goes_on_as_if_nothing_had_happened(name):
    space = {"lr": {"low": 1e-3, "high": 1.0, "log": True, "levels": 4}, "n": {"low": 1, "high": 3}}
    whole = Life(sweep(nuisance=space, search={"sampler": name, "points": 12}, seeds={"tune": 2, "confirm": 2})).run()
    for cut in range(0, len(whole.records) + 1, 5):
        rest = whole.resumed(cut).run()
        done = [r["trial"] for r in whole.records[:cut] if r["kind"] == "done"]
        assert done + rest.trials == whole.trials
    assert whole.resumed().run().trials == []


def test_replay_restores_the_scheduler():
    asked = sweep(search={"sampler": "random", "points": 10}, scheduler={"name": "asha", "reduction": 2})

    def answer(planned):
        return [100 * value for value in loss(planned)]

    whole = Life(asked, answer).run()
    assert len(whole.of_kind("pruned")) >= 2
    for cut in range(0, len(whole.records), 7):
        rest = whole.resumed(cut).run()
        ended = [r["trial"] for r in whole.records[:cut] if r["kind"] in ("done", "pruned")]
        assert set(ended + rest.trials + [r["trial"] for r in rest.of_kind("pruned")]) == set(whole.trials)
        assert not set(ended) & set(rest.trials)
        assert sorted(r["trial"] for r in whole.records[:cut] + rest.records if r["kind"] == "pruned") == sorted(
            {r["trial"] for r in whole.of_kind("pruned")}
        )


def test_edited_sweep_runs_exactly_the_missing_trials():
    first = Life(sweep()).run()
    more_seeds = first.resumed(seeds={"tune": 1, "confirm": 5}).run()
    assert Counter((p.phase, p.seed) for p in more_seeds.started) == {("confirm", 1003): 2, ("confirm", 1004): 2}
    more_levels = first.resumed(factors={"a": [1, 2, 3]}).run()
    assert {p.cell for p in more_levels.started} == {"a=3"}
    more_points = first.resumed(search={"sampler": "random", "points": 8}).run()
    assert Counter(p.phase for p in more_points.started)["tune"] == 4


def test_edited_space_starts_its_study_afresh_but_repeats_no_trial():
    first = Life(sweep()).run()
    narrower = {"lr": {"low": 1e-2, "high": 1.0, "log": True}, "n": {"low": 1, "high": 5}}
    second = first.resumed(nuisance=narrower).run()
    assert not set(second.trials) & set(first.trials)
    assert Counter(p.phase for p in second.started)["tune"] == 12


def test_point_proposed_twice_runs_once():
    space = {"n": {"low": 1, "high": 2}}
    life = Life(sweep(nuisance=space, search={"sampler": "random", "points": 10}, factors={})).run(at_a_time=3)
    assert max(Counter(life.trials).values()) == 1
    assert len(life.of_kind("told")) == 10
    assert all(math.isfinite(r["values"][0]) for r in life.of_kind("told"))


def test_retrying_failures_runs_only_those():
    first = Life(sweep(**ONE_CELL), lambda p: Outcome.FAILED if p.point["n"] > 3 else loss(p)).run()
    failed = [r["trial"] for r in first.of_kind("failed")]
    again = Life(first.sweep)
    again.search.replay(first.records, retry_failed=True)
    assert failed
    assert sorted(again.run().trials) == sorted(failed)

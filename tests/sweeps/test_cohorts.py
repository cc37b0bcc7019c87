"""What the search gives out to be stacked: trials of one shape, as many as the sampler may be asked for at once."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from sweeps_for_tests import Life, loss, sweep

from cluster.work import Idle
from sweeps import space
from sweeps.planner import Configs
from sweeps.samplers import GROUPS, STARTUP
from sweeps.search import CONFIRM_SEED

SPACE = {"lr": {"low": 1e-3, "high": 1.0, "log": True}, "width": {"choices": [8, 16, 32]}}
LINE = {"lr": {"low": 1e-3, "high": 1.0, "log": True}}
ONE_CELL = {"factors": {}, "nuisance": LINE, "seeds": {"tune": 1, "confirm": 0}}


def by(*names: str, held: tuple[str, ...] = ()) -> Configs:
    """Trials can be stacked where these parts of their config are equal."""
    shape = lambda config: " ".join(f"{name}={config.get(name)}" for name in ("like", *names))  # noqa: E731
    return Configs(resolve=lambda config: config, shape=shape, held=frozenset(held))


def search(name: str, points: int, **more):
    return {"search": {"sampler": name, "points": points, **more}}


def sizes(life: Life) -> list[int]:
    return [len(group) for group in life.groups]


@pytest.mark.parametrize("name", ["random", "qmc", "tpe", "nsga2", "grid", "cmaes"])
def test_groups_have_one_shape_and_make_up_the_sweep(name):
    nuisance = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 5}, "width": {"choices": [8, 16, 32]}}
    asked = sweep(nuisance=nuisance, **search(name, 15), seeds={"tune": 2, "confirm": 3})
    life = Life(asked, configs=by("a", "width", held=("width",))).run_groups()
    assert all(len({planned.shape for planned in group}) == 1 for group in life.groups)
    assert max(Counter(life.trials).values()) == 1
    assert max(sizes(life)) > 1
    told = Counter(record["cell"] for record in life.of_kind("told"))
    assert told == {"a=1": 15, "a=2": 15}


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_a_sampler_that_does_not_learn_is_asked_for_all_points_at_once(name):
    nuisance = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 40}}
    asked = sweep(**{**ONE_CELL, "nuisance": nuisance}, **search(name, 40))
    life = Life(asked, configs=by()).run_groups()
    assert sizes(life) == [40]
    one_by_one = Life(asked, configs=by()).run()
    assert one_by_one.trials == life.trials


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "nsga2"])
def test_a_sampler_that_learns_is_asked_for_its_random_start_and_then_for_a_quarter_at_a_time(name):
    life = Life(sweep(**ONE_CELL, **search(name, 14)), configs=by()).run_groups()
    assert sizes(life) == [STARTUP, 4]


def test_a_quarter_may_be_more_than_the_random_start():
    life = Life(sweep(**ONE_CELL, **search("nsga2", 60)), configs=by()).run_groups()
    assert sizes(life) == [15] * GROUPS


def test_never_more_points_in_flight_than_the_sweep_allows():
    asked = sweep(**ONE_CELL, **search("random", 20, concurrent=3))
    life = Life(asked, configs=by()).run_groups()
    assert sizes(life) == [3] * 6 + [2]
    several_seeds = sweep(**{**ONE_CELL, "seeds": {"tune": 4, "confirm": 0}}, **search("tpe", 20, concurrent=3))
    assert max(sizes(Life(several_seeds, configs=by()).run_groups())) == 12


def test_room_counts_what_is_in_flight():
    study = Life(sweep(**ONE_CELL, **search("tpe", 16)), configs=by()).search.studies["all"]
    rooms = [study.room]
    for _ in range(STARTUP):
        study.ask()
        rooms.append(study.room)
    assert rooms == list(range(STARTUP, -1, -1))
    assert Life(sweep(**ONE_CELL, **search("tpe", 5)), configs=by()).search.studies["all"].room == 5


def test_confirm_seeds_of_a_winner_form_one_group():
    asked = sweep(**search("random", 6), seeds={"tune": 1, "confirm": 7})
    life = Life(asked, configs=by("a", "lr")).run_groups()
    confirm = [group for group in life.groups if group[0].phase == "confirm"]
    assert [[planned.seed for planned in group] for group in confirm] == [
        list(range(CONFIRM_SEED, CONFIRM_SEED + 7))
    ] * 2
    assert [{planned.cell for planned in group} for group in confirm] == [{"a=1"}, {"a=2"}]


def test_cells_of_equal_shape_join_and_others_do_not():
    together = Life(sweep(**search("random", 6)), configs=by()).run_groups()
    assert [Counter(p.cell for p in group) for group in together.groups] == [
        {"a=1": 6, "a=2": 6},
        {"a=1": 3, "a=2": 3},
    ]
    apart = Life(sweep(**search("random", 6)), configs=by("a")).run_groups()
    assert all(len({planned.cell for planned in group}) == 1 for group in apart.groups)
    assert sorted(together.trials) == sorted(apart.trials)


def test_what_cannot_be_stacked_runs_alone():
    alone = Configs(resolve=lambda config: config)
    assert set(sizes(Life(sweep(), configs=alone).run_groups())) == {1}


@pytest.mark.parametrize(("sharing", "first"), [(1, 14), (2, 10), (3, 14), (5, 8)])
def test_processes_that_share_the_work_get_fair_parts(sharing, first):
    """Nothing has ended yet, so each takes its part of what the others have left."""
    given = Life(sweep(**ONE_CELL, **search("random", 40)), configs=by()).search
    found = []
    while not isinstance(planned := given.next(), Idle):
        idle = max(1, sharing - len(found))
        group = [planned, *given.alike(planned, 15, sharing, idle)]
        for one in group:
            given.started(one.trial)
        found.append(len(group))
    assert sum(found) == 40
    assert found[0] == first
    assert max(found) <= 16
    assert len(found) >= sharing


def test_at_most_as_many_as_are_asked_for():
    life = Life(sweep(**ONE_CELL, **search("random", 20)), configs=by()).run_groups(most=8)
    assert sizes(life) == [7, 7, 6]


# --- parameters that change the shape --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "qmc", "tpe", "gp", "nsga2"])
@pytest.mark.parametrize("points", [4, 11, 24])
def test_shape_is_held_for_a_part_of_the_points(name, points):
    if name == "gp" and points > 11:
        points = 12  # it is slow
    asked = sweep(**{**ONE_CELL, "nuisance": SPACE}, **search(name, points))
    life = Life(asked, configs=by("width", held=("width",))).run_groups()
    widths = [point["width"] for point in life.search.studies["all"].asked]
    run = max(1, points // GROUPS)
    parts = [widths[start : start + run] for start in range(0, points, run)]
    assert all(len(set(part)) == 1 for part in parts)
    assert len(parts) >= GROUPS
    lrs = [point["lr"] for point in life.search.studies["all"].asked]
    assert len(set(lrs)) >= 0.8 * points  # a genetic algorithm copies some


@pytest.mark.parametrize("points", [16, 32, 48])
def test_quasi_random_values_of_what_is_held_differ_from_group_to_group(points):
    """Every 4th or 8th point of a Sobol sequence lies in one corner, so groups count their points apart."""
    nuisance = {"lr": SPACE["lr"], "width": {"low": 0.0, "high": 1.0}}
    asked = sweep(**{**ONE_CELL, "nuisance": nuisance}, **search("qmc", points))
    life = Life(asked, configs=by("width", held=("width",))).run_groups()
    widths = sorted({point["width"] for point in life.search.studies["all"].asked})
    assert len(widths) == GROUPS
    assert widths[0] < 0.35
    assert widths[-1] > 0.65


def test_without_a_shape_to_hold_every_point_is_free():
    life = Life(sweep(**{**ONE_CELL, "nuisance": SPACE}, **search("random", 24)), configs=by()).run_groups()
    widths = [point["width"] for point in life.search.studies["all"].asked]
    assert len(list(groupby(widths))) > 2 * GROUPS
    assert sizes(life) == [24]


@pytest.mark.parametrize("name", ["grid", "cmaes"])
def test_samplers_that_cannot_hold_do_not(name):
    nuisance = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 4}, "width": {"low": 8, "high": 64}}
    nuisance["width"] |= {"step": 8} if name == "grid" else {}
    asked = sweep(**{**ONE_CELL, "nuisance": nuisance}, **search(name, 24))
    held, free = (Life(asked, configs=by("width", held=h)).run_groups() for h in (("width",), ()))
    assert held.trials == free.trials
    assert len({planned.point["width"] for planned in held.started}) > GROUPS
    assert all(len({planned.shape for planned in group}) == 1 for group in held.groups)


@pytest.mark.parametrize("name", ["random", "tpe", "qmc"])
def test_held_parameters_may_be_conditional(name):
    nuisance = {
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        "kind": {"choices": ["plain", "deep"]},
        "depth": {"low": 2, "high": 9, "when": {"kind": "deep"}},
        "momentum": {"low": 0.0, "high": 1.0, "when": {"kind": "plain"}},
    }
    asked = sweep(**{**ONE_CELL, "nuisance": nuisance}, **search(name, 48, seed=3))
    life = Life(asked, configs=by("kind", "depth", held=("kind", "depth"))).run_groups()
    points = life.search.studies["all"].asked
    for start in range(0, 48, 12):
        assert len({(point["kind"], point.get("depth")) for point in points[start : start + 12]}) == 1
        assert len({point["lr"] for point in points[start : start + 12]}) == 12
    assert {point["kind"] for point in points} == {"plain", "deep"}
    for point in points:
        assert ("depth" in point) == (point["kind"] == "deep") != ("momentum" in point)


def test_constraints_are_kept_with_what_is_held():
    nuisance = {"width": {"low": 1, "high": 64}, "depth": {"low": 1, "high": 64}, **LINE}
    bounds = {"width": {"at_most": "depth"}}
    asked = sweep(**{**ONE_CELL, "nuisance": nuisance}, constraints=bounds, **search("random", 40))
    life = Life(asked, configs=by("width", held=("width",))).run_groups()
    assert all(point["width"] <= point["depth"] for point in life.search.studies["all"].asked)


def test_what_is_held_gives_way_to_a_constraint_that_it_could_not_keep(monkeypatch):
    asked = sweep(**{**ONE_CELL, "nuisance": SPACE}, **search("random", 8))
    study = Life(asked, configs=by(held=("width",))).search.studies["all"]
    first = study.ask()[1]["width"]
    monkeypatch.setattr(space, "broken", lambda point, _: {"width": 1.0} if point["width"] == first else {})
    assert study.ask()[1]["width"] != first


def test_the_signature_of_a_study_changes_with_what_is_held_and_only_then():
    def signature(**how):
        asked = sweep(**{**ONE_CELL, "nuisance": SPACE}, **search(how.pop("name", "random"), 24))
        return Life(asked, configs=by(**how)).search.studies["all"].signature

    free = signature()
    assert signature(held=("optimizer.name",)) == free, "of no parameter that is tuned here"
    assert signature(held=("width",)) != free
    assert signature(held=("width",)) != signature(held=("width", "lr"))
    assert signature(held=("width",), name="cmaes") == signature(name="cmaes")


def test_a_study_that_holds_goes_on_where_it_was_and_is_not_mixed_with_one_that_does_not():
    asked = sweep(**{**ONE_CELL, "nuisance": SPACE}, **search("random", 24))
    held = Life(asked, configs=by("width", held=("width",))).run_groups()
    assert held.resumed().run_groups().trials == []
    free = Life(asked, configs=by("width"))
    free.search.replay(held.records)
    assert len(free.run_groups().of_kind("asked")) == 24


# --- coming back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "qmc", "grid"])
def test_a_resume_at_every_cut_gives_the_same_trials(name):
    nuisance = {"lr": {"low": 0.01, "high": 1.0, "log": True, "levels": 3}, "width": {"choices": [8, 16]}}
    asked = sweep(nuisance=nuisance, **search(name, 5), seeds={"tune": 1, "confirm": 2})
    whole = Life(asked, configs=by("width", held=("width",))).run_groups()
    for cut in range(len(whole.records) + 1):
        rest = whole.resumed(cut).run_groups()
        done = [r["trial"] for r in whole.records[:cut] if r["kind"] == "done"]
        assert sorted(done + rest.trials) == sorted(whole.trials)
        assert winners(rest, whole.records[:cut]) == winners(whole)


def winners(life: Life, before=()) -> set[tuple[str, ...]]:
    records = [*before, *life.records]
    return {(r["cell"], *r["points"]) for r in records if r["kind"] == "winner"}


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_a_sampler_that_learns_comes_back_at_every_cut_as_it_was(name):
    """A resume may ask before what was in flight has ended, and so for other points; those that there were stay."""
    asked = sweep(**{**ONE_CELL, "nuisance": SPACE}, **search(name, 16))
    whole = Life(asked, configs=by("width", held=("width",))).run_groups()
    for cut in range(0, len(whole.records) + 1, 2):
        before = whole.records[:cut]
        life = whole.resumed(cut)
        points = [record["params"] for record in before if record["kind"] == "asked"]
        assert [dict(point) for point in life.search.studies["all"].asked] == points
        life.search.studies["all"]._catch_up()  # raises if the sampler proposes anything else
        rest = life.run_groups()
        done = [r["trial"] for r in before if r["kind"] == "done"]
        assert not set(done) & set(rest.trials)
        assert len({r["number"] for r in before + rest.records if r["kind"] == "told"}) == 16
        between_groups = len(points) == len([r for r in before if r["kind"] == "told"])
        if between_groups:
            assert sorted(done + rest.trials) == sorted(whole.trials)


def test_groups_ask_optuna_what_a_plain_batched_loop_would():
    """Ask for the start, tell it, ask for a quarter, tell that: what Optuna's ask-and-tell page calls batches."""
    import optuna

    life = Life(sweep(**ONE_CELL, **search("tpe", 40, seed=5)), configs=by()).run_groups()
    sampler = optuna.samplers.TPESampler(seed=5, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for _ in range(4):
        trials = [study.ask() for _ in range(10)]
        rates = [trial.suggest_float("lr", 1e-3, 1.0, log=True) for trial in trials]
        for trial, rate in zip(trials, rates, strict=True):
            study.tell(trial, (rate - 0.1) ** 2)
    assert [planned.point["lr"] for planned in life.started] == [trial.params["lr"] for trial in study.trials]
    assert min(loss(planned)[-1] for planned in life.started) < 1e-4

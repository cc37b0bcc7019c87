"""Simulated runs: the search, the ledger and the driver are the real ones, so they may be tested in virtual time.

A real run of a thousand faults takes a night; a simulated one takes a second. Real kills are in test_kills.py.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter

import pytest
from prompt import decisions
from reference_rules import RULES, STEPS
from simulations import go, lost_or_repeated, make, values, written
from test_early_stopping import CURVES, recorded, replayed

from analysis import records
from analysis.frames import load
from analysis.records import CONFIRM_SEED
from sweeps import resolve, run, simulation
from sweeps.ledger import Ledger

DEADLY = {"trial_s": 600, "process_hours": 0.3, "node_hours": 2, "preempt_hours": 1, "checkpoint_s": 120}


def without_times(found: list[records.Record]) -> list[records.Record]:
    return [{k: v for k, v in record.items() if k not in ("time", "seconds")} for record in found]


@pytest.mark.parametrize("keys", [{"sampler": "tpe", "scheduler": "asha"}, {"seeds": 2}])
def test_same_seed_is_the_same_run_and_another_is_not(tmp_path, keys):
    runs = [
        make(tmp_path / str(n), {"nodes": 2, "cpus": 3, "seed": seed, **DEADLY}, **keys)
        for n, seed in enumerate((0, 0, 1))
    ]
    found = []
    for target in runs:
        assert go(target) == "finished"
        reports = load(target).reports
        found.append((written(target), reports.to_numpy().tolist()))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_nothing_is_trained_and_the_clock_is_virtual(tmp_path):
    target = make(tmp_path, {"nodes": 3, "trial_s": 3600, "start_s": 100, "spread": 0, "cohort": 4})
    go(target)
    found = load(target)
    assert found.simulated
    assert found.attempts["started"].min() == 0  # a driver gives out work at once, and 1970 is nobody's today
    assert (found.trials["seconds"] > 0).all()
    assert found.trials["seconds"].sum() < found.events["seconds"].sum() * 24, "no process works twice at a time"
    last = found.attempts["ended"].max()
    assert last == pytest.approx(found.events["time"].max(), abs=0.01)
    assert last > 100 + 3600 * (1 + 0.2 * 3) * 0.9


@pytest.mark.parametrize("cohort", ["auto", "off"])
@pytest.mark.parametrize("rule", ["asha", "asha by two", "hyperband"])
def test_survivors_on_the_same_curves_are_those_of_the_rule(tmp_path, rule, cohort):
    """The order in which reports come differs from that of a run in this process; the rule is the same."""
    whole = replayed(tmp_path, "{name: none}", "off")
    made = simulation.world(["nodes=2", "cpus=4", "cohort=5"], str(whole))
    changes = [f"resources.cohort={cohort}", f"scheduler={RULES[rule][0]}"]
    target = run.create(resolve.load(tmp_path / "curves.yaml", sets=changes), tmp_path / "simulated", made)
    assert go(target) == "finished"
    curves, reference = recorded(), RULES[rule][1]()
    point = {r["number"]: r["params"]["index"] for r in decisions(target, "asked")}
    stopped = set()
    for record in decisions(target, "judged"):
        curve = curves[point[record["number"]]]
        assert record["value"] == curve[record["step"] - 1]
        if reference.stops(record["number"], record["step"], record["value"]) and record["step"] < STEPS:
            stopped.add(point[record["number"]])
    trial = {r["trial"]: r["config"]["index"] for r in decisions(target, "planned")}
    assert {trial[r["trial"]] for r in decisions(target, "pruned")} == stopped
    assert len(values(target)) == CURVES - len(stopped)
    assert trial == {r["trial"]: r["config"]["index"] for r in decisions(whole, "planned")}
    assert 3 < len(stopped) < CURVES


def test_curves_of_a_real_run_bring_its_results_again(user):
    user.reports = False
    user.bowl(seeds="{tune: 2, confirm: 2}")
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    real = user.run
    words = ["--curves", "bowl", "--world", "nodes=3", "--set", "resources.retries=99"]
    said = user.assay("run", "bowl.yaml", "--backend", "simulated", *words)
    assert said.code == 0, said.err
    virtual = user.runs[-1]
    assert load(virtual).simulated
    assert values(virtual) == values(real)
    assert {r["points"][0] for r in decisions(virtual, "winner")} == {r["points"][0] for r in decisions(real, "winner")}
    numbers = ["trial", "step", "metric", "value"]
    assert load(virtual).reports[numbers].to_numpy().tolist() == load(real).reports[numbers].to_numpy().tolist()


def test_made_up_curves_give_a_search_something_to_find(tmp_path):
    """The best point of a cell lies at the same place for every trial, and TPE comes nearer to it than chance does."""
    best = {}
    for sampler in ("random", "tpe"):
        target = make(
            tmp_path / sampler, {"noise": 0.001, "nodes": 1, "cpus": 1}, sampler=sampler, points=40, cohort="off"
        )
        go(target)
        best[sampler] = [min(v for *_, v in rows) for rows in told(target).values()]
    assert sum(best["tpe"]) < sum(best["random"])


def told(target):
    found = {}
    for record in decisions(target, "told"):
        found.setdefault(record["cell"], []).append((record["number"], *record["values"]))
    return found


# --- faults ----------------------------------------------------------------------------------------------------------


def drawn(seed: int) -> tuple[dict, dict]:
    """A world and a sweep of some kind."""
    chance = random.Random(seed)
    hours = {name: chance.choice([0, 0.1, 0.5]) for name in ("process_hours", "node_hours", "preempt_hours")}
    world = {
        **hours,
        "process_hours": hours["process_hours"] or 0.3,
        "nodes": chance.choice([1, 3]),
        "cpus": chance.choice([1, 4]),
        "trial_s": chance.choice([30, 600]),
        "checkpoint_s": chance.choice([0, 60, 10_000]),
        "cohort": chance.choice([1, 3, 8]),
        "raises": chance.choice([0, 0.05]),
        "diverges": chance.choice([0, 0.1]),
        "driver_ms": chance.choice([0, 50]),
        "reports": 5,
        "seed": seed,
    }
    sampler, scheduler = chance.choice(["random", "tpe", "qmc"]), chance.choice(["none", "asha", "median", "hyperband"])
    keys = {
        "sampler": sampler,
        "scheduler": scheduler,
        "seeds": chance.choice([1, 2]),
        "retries": chance.choice([1, 3]),
    }
    return world, {**keys, "points": 6, "cohort": chance.choice(["auto", "off"])}


def whole(target, keys) -> list[str]:
    """What is lost, repeated or doubled in a run that is finished."""
    wrong = lost_or_repeated(target, keys["retries"])
    found = load(target)
    wrong += [f"{trial} is open" for trial in found.trials.loc[~found.trials["outcome"].isin(records.FINAL), "trial"]]
    per_trial = found.reports.groupby("trial", observed=True)["step"].agg(list).to_dict()
    for trial in found.trials.loc[found.trials["outcome"] == "done", "trial"]:
        if sorted(per_trial.get(trial, ())) != [5, 11, 16, 22, 27]:
            wrong.append(f"{trial} has steps {per_trial.get(trial)}")
    asked = Counter(r["cell"] for r in decisions(target, "asked"))
    wrong += [f"{cell} was asked for {n} points" for cell, n in asked.items() if n != keys["points"]]
    answered = Counter((r["cell"], r["number"]) for r in decisions(target, "told"))
    wrong += [f"{point} was told {n} times" for point, n in answered.items() if n != 1]
    wrong += ["points without an answer"] * (len(answered) != asked.total())
    fresh = Counter(r["cell"] for r in decisions(target, "planned") if r["seed"] >= CONFIRM_SEED)
    for cell in asked:
        won = any(r["cell"] == cell and r["points"] for r in decisions(target, "winner"))
        wrong += [f"{cell} has {fresh[cell]} confirm trials"] * (fresh[cell] != 3 * won)
    return wrong


def to_the_end(target) -> None:
    """A driver gives up if the first five trials fail alike. Asked again it gets further, in however bad a world."""
    ended = -1
    while go(target) != "finished":
        assert len(finals(target)) > ended, "the run gets no further"
        ended = len(finals(target))


class Killed(BaseException):
    """Of the driver, as far as anything in this process can tell."""


def kill_at(target, number: int) -> None:
    """Let the driver die in the middle of writing this decision: half of it is on disk, and nothing after it."""
    count = 0

    def write(ledger, kind, **fields):
        nonlocal count
        count += 1
        if count < number:
            record(ledger, kind, **fields)
        elif count == number:
            with (target / records.DECISIONS).open("a") as file:
                file.write('{"v":1,"kind":"do')
            raise Killed

    record = Ledger.record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "record", write)
        with contextlib.suppress(Killed):
            go(target)


def befall(folder, seed: int) -> int:
    """One run with faults, and the same again with a driver that is killed; returns how many attempts were lost."""
    world, keys = drawn(seed)
    target = make(folder / "first", world, **keys)
    to_the_end(target)
    assert not (wrong := whole(target, keys)), (seed, wrong)
    killed = make(folder / "killed", world, **keys)
    kill_at(killed, random.Random(seed).randrange(len(records.read_decisions(target).records)))
    before = finals(killed)
    to_the_end(killed)
    assert not (wrong := whole(killed, keys)), (seed, "resumed", wrong)
    assert before.items() <= finals(killed).items(), (seed, "finished work was repeated")
    if keys["scheduler"] == "none" and keys["sampler"] in ("random", "qmc"):
        calm = make(folder / "calm", {k: v for k, v in world.items() if not k.endswith("hours")}, **keys)
        to_the_end(calm)
        tuned = {r["trial"] for r in decisions(calm, "planned") if r["phase"] == "tune"}
        for one in (target, killed):
            assert {t: v for t, v in values(one).items() if t in tuned}.items() <= values(calm).items(), seed
    return sum(len(decisions(one, "lost")) for one in (target, killed))


def finals(target) -> dict[str, tuple[str, int]]:
    return {r["trial"]: (r["kind"], r["attempt"]) for r in decisions(target, *records.FINAL)}


@pytest.mark.parametrize("block", range(4))
def test_faults_lose_nothing_and_repeat_nothing(tmp_path, block):
    lost = sum(befall(tmp_path / str(seed), seed) for seed in range(5 * block, 5 * block + 5))
    assert lost > 20, "there were too few faults to prove anything"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_faults_lose_nothing_and_repeat_nothing(tmp_path):
    lost = sum(befall(tmp_path / str(seed), seed) for seed in range(1000, 1100))
    assert lost > 2000, "there were too few faults to prove anything"


# --- nobody may take it for science ----------------------------------------------------------------------------------

CLAIM = "[{name: lower, metric: loss, where: {a: 1}, against: {a: 2}, expect: less}]"


def test_everything_says_that_it_is_simulated(user):
    user.bowl(claims=CLAIM, seeds="{tune: 1, confirm: 5}")
    said = user.assay("run", "bowl.yaml", "--backend", "simulated")
    assert said.code == 0
    assert "SIMULATED: nothing was trained" in said.out
    assert "tensorboard" not in said.out
    report = user.run / "report"
    assert '<p class="warning">Simulated. Nothing was trained.</p>' in (report / "index.html").read_text()
    assert "<title>SIMULATED" in (report / "index.html").read_text()
    assert "# SIMULATED" in (report / "report.md").read_text()
    for name in ("answer.csv", "trials.csv"):
        header, *rows = (report / name).read_text().splitlines()
        assert header.endswith(",simulated")
        assert rows
        assert all(row.endswith(",True") for row in rows)
    assert not list(report.glob("*.tex"))
    assert "simulated, finished" in user.assay("status", "bowl").out
    assert "simulated, finished" in user.assay("runs").out
    for verdict in ("holds", "fails", "undecided"):
        assert f"{verdict} " not in said.out
    assert "untestable" in said.out
    assert user.assay("report", "bowl", "--check").code == 1


def test_simulated_run_is_refused_wherever_a_real_one_is_meant(user):
    user.bowl(claims=CLAIM, seeds="{tune: 1, confirm: 5, confirm_at_most: 9}")
    user.reports = False
    assert user.assay("run", "bowl.yaml", "--backend", "simulated").code == 0
    simulated = user.run
    trial = decisions(simulated, "done")[0]["trial"]
    assert user.assay("plan", "bowl.yaml").out.count("unknown") == 1, "its times are no estimate"
    assert user.assay("run", "bowl.yaml", "--inline", "--runs", "real").code == 0
    (real,) = (user.folder / "real" / "bowl").iterdir()
    for words in (
        ["resume", str(simulated), "--inline"],
        ["resume", str(simulated), "--backend", "ray"],
        ["run", "bowl.yaml", "--into", str(real), "--backend", "simulated"],
        ["run", "bowl.yaml", "--backend", "simulated", "--curves", str(simulated)],
        ["run", "bowl.yaml", "--backend", "simulated", "--optuna-storage", "sqlite:///x.db"],
        ["confirm", str(simulated)],
        ["rerun", str(simulated), trial],
        ["compare", str(real), str(simulated)],
        ["tensorboard", str(simulated)],
        ["run", "bowl.yaml", "--world", "nodes=3"],
        ["run", "bowl.yaml", "--inline", "--backend", "simulated"],
        ["run", "bowl.yaml", "--backend", "simulated", "--world", "nods=3"],
        ["run", "bowl.yaml", "--backend", "simulated", "--world", "cpus=0.5"],
    ):
        said = user.assay(*words)
        assert (said.code, len(said.lines)) == (2, 1), (words, said)
    (simulated / "environment.json").write_text("{}")
    said = user.assay("resume", str(simulated), "--inline")
    assert (said.code, len(said.lines)) == (2, 1)
    assert "simulated" in said.err


def test_interrupted_simulation_resumes_in_its_own_world(tmp_path):
    target = make(tmp_path, {"nodes": 2, "cpus": 1, "trial_s": 100, "cohort": 2})
    assert go(target) == "finished"
    path = target / records.DECISIONS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert go(target) == "finished"
    times = [r["time"] for r in records.read_decisions(target).records]
    assert times == sorted(times), "the virtual clock goes on where it stood"
    assert load(target).simulated

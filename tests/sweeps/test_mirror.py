"""``--optuna-storage``: the studies are in a storage of Optuna's own, for optuna-dashboard."""

from __future__ import annotations

from collections import Counter

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from prompt import decisions

FAILS = """
import math

def train(config, trial):
    if config["lr"] > 0.5:
        raise ValueError("too fast")
    yield {"loss": math.nan if config["lr"] > 0.25 else (config["lr"] - 0.1 * config["a"]) ** 2}
"""


@pytest.fixture
def user(user):
    user.reports = False
    return user


def storage(user, url: str) -> BaseStorage:
    path = user.folder / url.removeprefix("sqlite:///")
    if url.startswith("sqlite"):
        return RDBStorage(f"sqlite:///{path}")
    return JournalStorage(JournalFileBackend(str(path)))


def mirrored(user, url: str) -> dict[str, list[tuple[dict, str, list[float] | None]]]:
    """Cell -> points, states and values, in order."""
    kept = storage(user, url)
    studies = [optuna.load_study(study_name=name, storage=kept) for name in optuna.get_all_study_names(kept)]
    found = {
        study.study_name.removeprefix(f"bowl/{user.run.name}/"): [
            (trial.params, trial.state.name, trial.values)
            for trial in sorted(study.trials, key=lambda t: t.user_attrs["point"])
        ]
        for study in studies
    }
    if isinstance(kept, RDBStorage):
        kept.engine.dispose()
    return found


def recorded(user) -> dict[str, list[tuple[dict, str, list[float] | None]]]:
    """The same, from the ledger."""
    asked = {(r["cell"], r["number"]): r["params"] for r in decisions(user.run, "asked")}
    told = {(r["cell"], r["number"]): r for r in decisions(user.run, "told")}
    cells = dict.fromkeys(cell for cell, _ in asked)
    return {
        cell: [
            (params, told[key]["state"], told[key]["values"] or None)
            for key, params in sorted(asked.items())
            if key[0] == cell and key in told
        ]
        for cell in cells
    }


@pytest.mark.parametrize("url", ["sqlite:///studies.db", "studies.journal"])
def test_points_and_states_are_those_of_the_ledger_and_a_resume_adds_none(user, url):
    user.bowl(trainable="fails.py:train", search="{sampler: random, points: 8}")
    user.write("fails.py", FAILS)
    assert user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", url).code == 0
    first = mirrored(user, url)
    assert first == recorded(user)
    assert Counter(state for _, state, _ in first["a=1"]).keys() == {"COMPLETE", "FAIL"}
    assert user.assay("resume", "bowl", "--inline", "--optuna-storage", url).code == 0
    assert mirrored(user, url) == first


def test_more_points_are_added_to_those_that_are_there(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", "studies.journal")
    user.bowl(search="{sampler: random, points: 5}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline", "--optuna-storage", "studies.journal")
    assert mirrored(user, "studies.journal") == recorded(user)
    assert [len(points) for points in recorded(user).values()] == [5, 5]


def test_study_of_another_space_is_another_one(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", "studies.journal")
    user.bowl(nuisance="{lr: {choices: [0.1, 0.2, 0.3]}}")
    user.assay("run", "bowl.yaml", "--into", "bowl", "--inline", "--optuna-storage", "studies.journal")
    sizes = sorted(len(points) for points in mirrored(user, "studies.journal").values())
    assert sizes == [3, 3, 3, 3]


def test_mirror_may_come_later(user):
    user.bowl()
    user.assay("run", "bowl.yaml", "--inline")
    assert user.assay("resume", "bowl", "--inline", "--optuna-storage", "sqlite:///late.db").code == 0
    assert mirrored(user, "sqlite:///late.db") == recorded(user)


def test_pruned_points_and_their_curves_are_there(user):
    curve = "def train(config):\n    for step in range(1, 9):\n        yield {'loss': config['lr'] + 1 / step}\n"
    user.bowl(trainable="curve.py:train", scheduler="{name: asha, reduction: 2}", search="{sampler: random, points: 8}")
    user.write("curve.py", curve)
    user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", "studies.journal")
    kept = storage(user, "studies.journal")
    study = optuna.load_study(study_name=f"bowl/{user.run.name}/a=1", storage=kept)
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert all(0 < len(trial.intermediate_values) < 8 for trial in pruned)


def test_several_objectives_have_their_directions(user):
    two = "def train(config):\n    return {'loss': config['lr'], 'size': 1 / config['lr']}\n"
    user.bowl(trainable="two.py:train", objective="[{minimize: loss}, {maximize: size}]")
    user.write("two.py", two)
    assert user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", "studies.journal").code == 0
    kept = storage(user, "studies.journal")
    study = optuna.load_study(study_name=f"bowl/{user.run.name}/a=2", storage=kept)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]


@pytest.mark.parametrize("url", ["nonsense://x", "sqlite:///no/such/folder/x.db", "no/such/folder/studies.journal"])
def test_storage_that_cannot_be_used_is_one_line_before_anything_runs(user, url):
    user.bowl()
    said = user.assay("run", "bowl.yaml", "--inline", "--optuna-storage", url)
    assert (said.code, len(said.lines)) == (2, 1)
    assert said.err.startswith(f"--optuna-storage {url}: ")
    assert not decisions(user.run, "started")

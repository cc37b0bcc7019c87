"""Copies each point of a search into an Optuna storage, so that optuna-dashboard shows it. Never read back."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from sweeps.study import CellStudy


class Mirror:
    """One study per cell, ``<sweep>/<run>/<cell>``, in ``sqlite:///file.db``, another database, or a journal file."""

    def __init__(self, url: str, prefix: str) -> None:
        self._storage, self._prefix = _storage(url), prefix
        self._copies: dict[str, tuple[optuna.Study, set[int]]] = {}

    def __call__(self, study: CellStudy, number: int) -> None:
        copy, there = self._copy(study)
        if number not in there:
            there.add(number)
            trial = study.finished(number)
            trial.set_user_attr("point", number)
            copy.add_trial(trial)

    def _copy(self, study: CellStudy) -> tuple[optuna.Study, set[int]]:
        cell = study.cell.id
        if cell not in self._copies:
            name = f"{self._prefix}/{cell}"
            directions = study.study.directions
            copy = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, load_if_exists=True
            )
            self._copies[cell] = (copy, {trial.user_attrs["point"] for trial in copy.get_trials(deepcopy=False)})
        return self._copies[cell]


def _storage(url: str) -> BaseStorage:
    return RDBStorage(url) if "://" in url else JournalStorage(JournalFileBackend(url))

"""Copies each point of a search into an Optuna storage, so that optuna-dashboard shows it. Never read back."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from sweeps import space
from sweeps.ledger import RunError
from sweeps.study import CellStudy

_SEARCH = "search"  # attribute of a study: which space and objectives it has


class Mirror:
    """One study per cell, ``<sweep>/<run>/<cell>``, in ``sqlite:///file.db``, another database, or a journal file.

    A cell whose space or objectives were edited goes on in another study, ``<sweep>/<run>/<cell>~<digest>``.
    """

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
            copy = self._open(study)
            self._copies[cell] = (copy, {trial.user_attrs["point"] for trial in copy.get_trials(deepcopy=False)})
        return self._copies[cell]

    def _open(self, study: CellStudy) -> optuna.Study:
        name, directions = f"{self._prefix}/{study.cell.id}", study.study.directions
        search = space.digest([study.signature, [direction.name for direction in directions]])
        copies = (
            optuna.create_study(storage=self._storage, study_name=n, directions=directions, load_if_exists=True)
            for n in (name, f"{name}~{search[:8]}")
        )
        copy = next(copy for copy in copies if copy.user_attrs.get(_SEARCH, search) == search)
        copy.set_user_attr(_SEARCH, search)
        return copy


def _storage(url: str) -> BaseStorage:
    try:
        return RDBStorage(url) if "://" in url else JournalStorage(JournalFileBackend(url))
    except Exception as error:  # whatever the driver of a database raises
        raise RunError(f"--optuna-storage {url}: {(str(error).splitlines() or [type(error).__name__])[0]}") from error

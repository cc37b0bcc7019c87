"""The names of samplers and schedulers in a sweep file, as Optuna's samplers and pruners."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.distributions import BaseDistribution

from sweeps.spec import Parameter, Scalar, Scheduler, Search

STARTUP = 10  # points that Optuna's samplers draw at random before they learn from any
GROUPS = 4  # at least so many times does a study learn, and try other values of parameters that are held
CAN_HOLD = ("random", "qmc", "tpe", "gp", "nsga2")

optuna.logging.set_verbosity(optuna.logging.ERROR)


def batch(search: Search, points: int) -> int:
    """How many points a sampler is asked for at once, to be stacked: all by one that does not learn from answers.

    One that learns is asked for its random start, and then for a quarter of its points at a time. TPE takes those in
    flight for bad ones (a constant liar: Ginsbourger et al., 2010, doi:10.1007/978-3-642-10701-6_6).
    """
    return points if search.sampler in ("random", "qmc", "grid") else -(-points // GROUPS)


def holding(sampler: samplers.BaseSampler, values: Mapping[str, Scalar]) -> samplers.BaseSampler:
    """The sampler with some parameters at fixed values."""
    if not values:
        return sampler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Holding(dict(values), sampler)


class _Holding(samplers.PartialFixedSampler):
    """Optuna's own, also around a sampler that proposes more than it is asked for, as TPE with groups does."""

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        proposed = super().sample_relative(study, trial, search_space)
        return {name: value for name, value in proposed.items() if name not in self._fixed_params}


class PinnedQMCSampler(samplers.QMCSampler):
    """Optuna's QMC sampler, except that its space is that of the study's first trial, whatever became of it.

    Optuna reads the space from the first trial that succeeded, so its points would depend on which trial ends first.
    """

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        first = study.get_trials(deepcopy=False)[0]
        return {} if first.number == trial.number else dict(first.distributions)


def sampler(search: Search, space: Mapping[str, Parameter], points: int) -> samplers.BaseSampler:
    """The sampler of one cell. The grid is enqueued by the study, so that its sampler is never asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _sampler(search, space, points)


def _sampler(search: Search, space: Mapping[str, Parameter], points: int) -> samplers.BaseSampler:
    conditional = any(set(p.when) & set(space) for p in space.values())
    options: dict[str, Any] = {"seed": search.seed}
    match search.sampler:
        case "qmc":
            return PinnedQMCSampler(**options, scramble=True, warn_independent_sampling=False)
        case "tpe":
            return samplers.TPESampler(**options, multivariate=True, group=conditional, constant_liar=True)
        case "gp":
            return samplers.GPSampler(**options, warn_independent_sampling=False)
        case "cmaes":
            return samplers.CmaEsSampler(**options, warn_independent_sampling=False)
        case "nsga2":
            return samplers.NSGAIISampler(**options, population_size=max(4, min(50, points // 4)))
    return samplers.RandomSampler(**options)


def pruner(scheduler: Scheduler, last_step: int | None) -> pruners.BasePruner:
    """The rule that stops trials of one cell early; ``last_step`` is that of a full trial, if known."""
    match scheduler.name:
        case "asha":
            return pruners.SuccessiveHalvingPruner(
                min_resource=scheduler.grace_steps, reduction_factor=scheduler.reduction, min_early_stopping_rate=0
            )
        case "hyperband":
            return pruners.HyperbandPruner(
                min_resource=scheduler.grace_steps,
                max_resource=scheduler.max_steps or last_step or "auto",
                reduction_factor=scheduler.reduction,
            )
        case "median":
            return pruners.MedianPruner(n_startup_trials=scheduler.warmup_points, n_warmup_steps=scheduler.grace_steps)
    return pruners.NopPruner()

"""Optuna in one process with two threads, ``study.optimize(n_jobs=2)``.

The threads share the random generator of PyTorch, so that here, unlike elsewhere, a seed does not settle the result.

python optuna_jobs.py --model mlp --trials 256
"""

from __future__ import annotations

import work  # first: it starts the clock
from optuna import Trial, create_study, logging


def main() -> None:
    options = work.arguments()
    results = []

    def objective(trial: Trial) -> float:
        setting = {
            "model": options.model,
            "lr": trial.suggest_float("lr", 1e-4, 1.0, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-7, 1.0, log=True),
            "seed": trial.suggest_int("seed", 0, 3),
        }
        results.append(work.train(setting))
        return results[-1]["loss"]

    logging.set_verbosity(logging.WARNING)
    study = create_study()
    for setting in work.settings(options.model, options.trials):
        study.enqueue_trial({name: setting[name] for name in ("lr", "weight_decay", "seed")})
    study.optimize(objective, n_trials=options.trials, n_jobs=2)
    work.show("optuna_jobs", options.model, results)


if __name__ == "__main__":
    main()

"""A plain Ray Tune script, one function trial per setting, as Ray's documentation shows it.

python plain_tune.py --model mlp --trials 256
"""

from __future__ import annotations

import tempfile

import work  # first: it starts the clock
from ray import tune


def objective(config):
    tune.report(work.train(config["setting"]))


def main(name: str = "plain_tune", **tune_options) -> None:
    options = work.arguments()
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            objective,
            param_space={"setting": tune.grid_search(work.settings(options.model, options.trials))},
            tune_config=tune.TuneConfig(metric="loss", mode="min", **tune_options),
            run_config=tune.RunConfig(storage_path=folder),
        )
        results = tuner.fit()
        work.show(name, options.model, [result.metrics or {} for result in results])


if __name__ == "__main__":
    main()

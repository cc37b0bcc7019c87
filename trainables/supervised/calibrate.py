"""Trains a classifier and measures how far its confidence is from its accuracy, before and after temperature scaling.

Source: Guo et al., 2017, arXiv:1706.04599, sec. 4.2: all logits are divided by one number, which is fitted on
validation examples and changes no decision.  Differs: the validation part also serves to tune a sweep.
Expect: nothing to gain on the digits with the defaults: calibration_error/gain -0.006, with a deviation of 0.007 over
seeds 0 to 7 (our run, 2026-11-28).  Cost: a fifth more than supervised.classify.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trainables.api import Reports, Trial
from trainables.supervised import classify
from trainables.supervised.classify import NOT_REPRODUCIBLE, Config, steps

if TYPE_CHECKING:
    from trainables.training.examples import StackedPart
    from trainables.training.fitting import Fit

__all__ = ["METRICS", "NOT_REPRODUCIBLE", "Config", "run", "steps"]

METRICS = classify.METRICS | {
    "temperature": "what logits are divided by for the least cross-entropy on the validation examples, from 0.05 to 20",
    "calibration_error/scaled": "calibration_error/test of logits that are divided by the temperature",
    "calibration_error/gain": "calibration_error/test - calibration_error/scaled",
}


def run(configs: Sequence[Config], trials: Sequence[Trial]) -> Iterator[Reports]:
    """Reports after an epoch. All workers of a trial report the same."""
    yield from classify.train(configs, trials, measure)


def measure(fit: Fit[Config], parts: Mapping[str, StackedPart]) -> dict[str, list[float]]:
    """Metric -> its value for each member."""
    from trainables.metrics import calibration_error, temperature
    from trainables.training.stacking import each

    metrics, test = classify.measure(fit, parts), parts["test"]
    divisors = each(temperature, fit.predict(parts["validation"]), parts["validation"].labels)
    scaled = (fit.predict(test) / divisors[:, None, None]).softmax(-1)
    errors = each(calibration_error, scaled, test.labels).tolist()
    gains = [before - after for before, after in zip(metrics["calibration_error/test"], errors, strict=True)]
    own = {"temperature": divisors.tolist(), "calibration_error/scaled": errors, "calibration_error/gain": gains}
    return metrics | own

"""Losses as they were when last looked at, so that a change of the numbers is seen and meant.

After a change that is meant: ``python tests/trainables/test_golden_losses.py`` writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_trial import FakeTrial, drive

from trainables.config import build
from trainables.supervised import classify

GOLDEN = Path(__file__).parents[1] / "golden" / "classify.json"
KEYS = ("loss/train", "loss/validation", "loss/test", "gradient_norm")


def losses(model):
    config = build(classify.Config, {"data": "digits", "model": model, "epochs": 2})
    last = drive(classify.run, config, FakeTrial())[-1]
    return {key: last[key] for key in KEYS}


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn"])
def test_losses_after_two_epochs_are_as_before(model):
    # Other processors and versions of torch add numbers in another order.
    assert losses(model) == pytest.approx(json.loads(GOLDEN.read_text())[model], rel=5e-3)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({model: losses(model) for model in ("linear", "mlp", "cnn")}, indent=2) + "\n")

"""Temperature scaling of trained classifiers."""

from __future__ import annotations

import pytest
from fake_trial import FakeTrial, drive, drive_all

from trainables.config import build
from trainables.supervised import calibrate, classify

FEW = {"test_fraction": 0.5, "validation_fraction": 0.75}


def config(noise, epochs=40):
    settings = {"epochs": epochs, "report_every": epochs, "split": {**FEW, "label_noise": noise}}
    return build(calibrate.Config, settings)


def test_networks_that_fit_wrong_labels_are_too_sure_and_a_temperature_mends_it():
    (report,) = drive(calibrate.run, config(0.4), FakeTrial())
    assert report["accuracy/train"] > 0.95
    assert report["temperature"] > 1.5
    assert report["calibration_error/scaled"] < report["calibration_error/test"] - 0.05
    gain = report["calibration_error/test"] - report["calibration_error/scaled"]
    assert report["calibration_error/gain"] == pytest.approx(gain)


def test_everything_else_is_what_classify_reports_of_each_member():
    configs = [config(noise, epochs=2) for noise in (0.0, 0.4)]
    made = [drive_all(m.run, configs, [FakeTrial(seed=seed) for seed in (0, 1)]) for m in (calibrate, classify)]
    for (ours,), (plain,) in zip(*made, strict=True):
        same = plain.keys() - set(classify.NOT_REPRODUCIBLE)
        assert {key: ours[key] for key in same} == {key: plain[key] for key in same}

"""What the classifier learns, reports, saves and refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from fake_trial import FakeTrial, drive, through_disk

from trainables.api import Diverged
from trainables.config import build, per_member
from trainables.data import digits
from trainables.supervised import classify


def config(**settings):
    quick = {"data": {"name": "gaussian_mixture", "num_examples": 300}, "epochs": 4, "batch_size": 32}
    return build(classify.Config, quick | settings)


def run(trial=None, num_reports=None, **settings):
    return drive(classify.run, config(**settings), trial or FakeTrial(), num_reports)


def weights(trial):
    return trial.saved["fit"]["network"]["parameters"]


def same(first, second):
    """Equal reports, but for those that measure the machine."""
    drop = classify.NOT_REPRODUCIBLE
    return [{k: v for k, v in r.items() if k not in drop} for r in first] == [
        {k: v for k, v in r.items() if k not in drop} for r in second
    ]


@pytest.mark.parametrize(("model", "at_least"), [("linear", 0.93), ("mlp", 0.95), ("cnn", 0.95)])
def test_learns_the_digits(model, at_least):
    reports = run(data="digits", model=model, epochs=8)
    assert reports[-1]["accuracy/test"] > at_least
    assert reports[-1]["loss/train"] < reports[0]["loss/train"]


def test_steps_predicts_the_last_report():
    for settings in ({}, {"batch_size": 1000}, {"epochs": 5, "report_every": 3}):
        assert run(**settings)[-1]["step"] == classify.steps(config(**settings))


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_reports_every_so_many_epochs_and_at_the_end(every, epochs):
    per_epoch = run(epochs=1)[0]["step"]
    reports = run(epochs=5, report_every=every)
    assert [r["step"] for r in reports] == [per_epoch * e for e in epochs]
    assert same(reports, [run(epochs=5)[e - 1] for e in epochs])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_goes_on_bit_for_bit_after_a_stop(optimizer):
    settings = {
        "optimizer": {"name": optimizer, "lr": 0.01},
        "model": {"name": "mlp", "dropout": 0.3},
        "split": {"label_noise": 0.1},
        "label_smoothing": 0.1,
    }
    whole, first = FakeTrial(seed=3), FakeTrial(seed=3)
    reports = run(whole, **settings)
    begun = run(first, num_reports=2, **settings)
    second = FakeTrial(seed=3, restored=first.saved)
    assert same(begun + run(second, **settings), reports)
    for key, value in weights(whole).items():
        assert torch.equal(weights(second)[key], value)


def test_a_finished_trial_has_nothing_more_to_report():
    trial = FakeTrial()
    run(trial)
    assert run(FakeTrial(restored=trial.saved)) == []


def test_the_seed_of_the_trial_changes_the_outcome_but_not_the_data():
    trials = [FakeTrial(seed=s) for s in (0, 1)]
    first, second = (run(t) for t in trials)
    assert not same(first, second)
    assert trials[0].notes == trials[1].notes == {"data": config().data.load().digest}


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"name": "mlp", "dropout": 0.5}},
        {"label_smoothing": 0.2},
        {"split": {"label_noise": 0.2}},
        {"optimizer": {"name": "sgd", "weight_decay": 0.1}},
        {"schedule": {"name": "warmup"}},
        {"optimizer": {"name": "sgd", "nesterov": True}},
        {"augmentation": {"name": "noise"}},
        {"clip_norm": 0.1},
        {"init_scale": 0.5},
    ],
)
def test_every_setting_matters(settings):
    assert not same(run(**settings), run())


def test_weight_decay_shrinks_the_weights():
    def length(decay):
        trial = FakeTrial()
        run(trial, optimizer={"name": "sgd", "weight_decay": decay}, epochs=10)
        return sum(w.square().sum() for w in weights(trial).values())

    assert length(0.1) < 0.5 * length(0.0)


def test_label_smoothing_keeps_the_network_less_sure():
    """The minimum of the smoothed loss has finite logits, so the plain training loss stays up."""
    smooth, plain = (run(label_smoothing=s, data="wine", epochs=60, report_every=60)[-1] for s in (0.3, 0.0))
    assert plain["loss/train"] < 0.01
    assert smooth["loss/train"] > 0.1


def test_gradient_norm_is_that_of_the_mean_loss():
    """With one batch, no momentum and lr 1, the step is the gradient."""
    settings = {
        "model": "linear",
        "optimizer": {"name": "sgd", "lr": 1.0, "momentum": 0.0},
        "schedule": "constant",
        "batch_size": 1000,
    }
    trial = FakeTrial()
    generator = classify.run([config(**settings)], [trial])
    next(generator)
    before = through_disk(trial.offered())["fit"]["network"]["parameters"]
    report = next(generator)[0]
    after = trial.offered()["fit"]["network"]["parameters"]
    step = torch.cat([(after[k] - before[k]).flatten() for k in before])
    assert report["gradient_norm"] == pytest.approx(step.norm().item(), rel=1e-4)


def test_a_loss_that_is_no_number_ends_the_trial():
    with pytest.raises(Diverged, match="loss/train is nan at step"):
        run(optimizer={"name": "sgd", "lr": 1e30})


def test_the_cnn_refuses_data_without_images():
    with pytest.raises(ValueError, match="expected images"):
        run(model="cnn")


def test_what_may_differ_inside_a_cohort():
    values = {"model": {"name": "mlp"}, "optimizer": {"name": "sgd"}}
    assert {".".join(path) for path in per_member(classify.Config, values)} == {
        "clip_norm",
        "gradient_noise",
        "gradient_noise_decay",
        "init_scale",
        "label_smoothing",
        "model.dropout",
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.weight_decay",
        "split.label_noise",
    }


def test_data_is_loaded_once_per_process(monkeypatch):
    classify.load.cache_clear()
    calls = []
    monkeypatch.setattr(digits.Config, "load", lambda _: calls.append(1) or config().data.load())
    run(data="digits", epochs=1)
    run(data="digits", epochs=1)
    classify.load.cache_clear()
    assert calls == [1]


def test_checking_a_config_imports_nothing_heavy():
    """So that the commands that only check a sweep answer at once."""
    code = (
        "import sys; from trainables.config import check; from trainables.supervised import classify;"
        "assert not check(classify.Config, {'data': 'wine', 'model': 'cnn', 'optimizer': 'adamw'});"
        "print(*sorted({'torch', 'sklearn', 'datasets', 'PIL', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

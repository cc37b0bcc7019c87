"""Members go on in other cohorts as if nothing had been, from states that come from a disk."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from fake_trial import FakeTrial, through_disk
from tiny import TOLERANCE, Recording, config, gap, parameters, recorded, train

from trainables.supervised import classify

SETTINGS = {
    "model": {"name": "mlp", "dropout": 0.3},
    "augmentation": {"name": "noise", "deviation": 0.2},
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
}
EPOCHS = 5


def made(seed, **settings):
    name = settings.pop("optimizer", "adam")
    optimizer = {"name": name, "lr": 0.01 * (seed + 1), "weight_decay": 0.001 * seed}
    return config(**{"optimizer": optimizer, "epochs": EPOCHS, **SETTINGS, **settings})


def run(seeds, states=None, num_reports=None, **settings):
    """The trials of these seeds as one cohort, each from its state if it has one; and their reports."""
    trials = [FakeTrial(seed=seed, restored=(states or {}).get(seed)) for seed in seeds]
    reports = train([made(seed, **settings) for seed in seeds], trials, num_reports)
    return dict(zip(seeds, trials, strict=True)), dict(zip(seeds, reports, strict=True))


def states_after(num_reports, seeds=range(4), **settings):
    trials, reports = run(seeds, None, num_reports, **settings)
    return {seed: through_disk(trial.saved) for seed, trial in trials.items()}, reports


def steps(reports):
    return [report["step"] for report in reports]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_same_cohort_goes_on_bit_for_bit(optimizer):
    whole, expected = run(range(4), optimizer=optimizer)
    states, begun = states_after(2, optimizer=optimizer)
    trials, reports = run(range(4), states, optimizer=optimizer)
    for seed, trial in trials.items():
        assert torch.equal(parameters(trial), parameters(whole[seed]))
        assert steps(begun[seed] + reports[seed]) == steps(expected[seed])
        assert reports[seed][-1]["loss/test"] == expected[seed][-1]["loss/test"]


@pytest.mark.parametrize("order", [(3, 1, 0, 2), (2, 3, 1, 0)])
def test_another_order_of_as_many_members_changes_no_bit(order):
    whole, _ = run(range(4))
    trials, _ = run(order, states_after(3)[0])
    assert all(torch.equal(parameters(trial), parameters(whole[seed])) for seed, trial in trials.items())


@pytest.mark.parametrize("groups", [((0, 1), (2, 3)), ((2,), (3, 0, 1)), ((0,), (1,), (2,), (3,))])
def test_other_cohorts(groups):
    whole, expected = run(range(4))
    states, _ = states_after(2)
    for group in groups:
        trials, reports = run(group, states)
        for seed in group:
            assert gap(trials[seed], whole[seed]) < TOLERANCE
            assert reports[seed][-1]["loss/test"] == pytest.approx(expected[seed][-1]["loss/test"], rel=TOLERANCE)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("ahead", [1, 2])
def test_members_at_other_epochs_and_fresh_ones(every, ahead):
    """Two go on where they were, two begin, each in its own schedule; each draws and reports what it would."""
    whole, expected = run(range(4), report_every=every)
    states, begun = states_after(ahead, (0, 2), report_every=every)
    trials, reports = run([3, 0, 1, 2], states, report_every=every)
    for seed in range(4):
        assert gap(trials[seed], whole[seed]) < TOLERANCE
        assert steps(begun.get(seed, []) + reports[seed]) == steps(expected[seed])


def test_a_finished_member_reports_nothing_more_and_holds_nobody_up():
    states, _ = states_after(EPOCHS, (0,))
    trials, reports = run([0, 1], states)
    assert reports[0] == []
    assert steps(reports[1]) == [4, 8, 12, 16, 20]
    assert gap(trials[1], run([1])[0][1]) < TOLERANCE


def test_masks_and_batches_go_on_where_they_were():
    def record(states=None, num_reports=None):
        trials = [FakeTrial(seed=seed, restored=(states or {}).get(seed)) for seed in (1, 0)]
        train([config(model=Recording(rate=0.4), epochs=4)] * 2, trials, num_reports)
        return trials

    begun = {trial.seed: through_disk(trial.saved) for trial in record(num_reports=2)}
    for whole, resumed in zip(record(), record(begun), strict=True):
        assert all(torch.equal(recorded(resumed)[name], seen) for name, seen in recorded(whole).items())


def test_a_state_holds_what_its_member_has_learnt_and_nothing_of_others():
    state, _ = states_after(1)
    alone, _ = states_after(1, (2,))
    assert state[2]["fit"]["epoch"] == alone[2]["fit"]["epoch"] == 1
    for part in ("optimizer", "network"):
        assert state[2]["fit"][part].keys() == alone[2]["fit"][part].keys()
        for name, value in tensors(alone[2]["fit"][part]).items():
            assert tensors(state[2]["fit"][part])[name].shape == value.shape


def tensors(state):
    inner = [tensors(value).items() for value in state.values() if isinstance(value, dict)]
    return dict(chain(*inner)) | {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def test_a_pulse_follows_each_step():
    trials, _ = run([0, 1])
    assert trials[0].pulses == classify.steps(made(0))

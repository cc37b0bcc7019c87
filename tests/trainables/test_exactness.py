"""A trial gives alone what it gives in any cohort, for every component, whatever the members differ in."""

from __future__ import annotations

import random
from functools import reduce
from typing import get_args

import pytest
import torch
from annotated_types import Ge, Le, Lt
from fake_trial import FakeTrial, through_disk
from tiny import TOLERANCE, Recording, config, gap, recorded, train

from trainables.api import Diverged
from trainables.config import check, component_of, hint_at, hints, per_member
from trainables.explain import fields
from trainables.supervised import classify
from trainables.training.fitting import Fit

COMPONENTS = {name: found for name, hint in hints(classify.Config).items() if (found := component_of(hint))}
MEMBERS = 4
USUAL = {("optimizer", "epsilon"): 1e-3}  # with Adam's 1e-8 and a small beta2, rounding can turn a whole step


def variants():
    """Every component but the data, in each of its forms: one per value of a switch or a choice."""
    for part, component in COMPONENTS.items():
        for name in component.names() if part != "data" else ():
            yield {part: {"name": name}}
            for field in fields(component.config(name)):
                for value in switches(field):
                    yield {part: {"name": name, field.path: value}}


def switches(field):
    values = (True, False) if field.type == "true or false" else field.type.split(" | ") if "|" in field.type else ()
    return [value for value in values if value != field.default]


def drawn(base, seed):
    """The config with another value in each field that may differ, some of them at the edge of their range."""
    plain, values = config(**base), base
    for path in sorted(per_member(classify.Config, base)):
        rng = random.Random(f"{seed} {path}")  # so that what is drawn for one field does not depend on the others
        hint, usual = hint_at(classify.Config, base, path), USUAL.get(path, value_at(plain, path))
        edge, inside = (merged(values, path, draw(hint, usual, rng, at_edge=at_edge)) for at_edge in (True, False))
        values = inside if rng.random() < 0.7 or check(classify.Config, edge) else edge
    return config(**values)


def draw(hint, usual, rng, *, at_edge):
    """A number from the range of a field, near its default where the range has no end."""
    limits = {type(part): part for part in get_args(hint)}
    low = limits[Ge].ge if Ge in limits else 0.0
    high = limits[Le].le if Le in limits else limits[Lt].lt if Lt in limits else None
    if at_edge and Ge in limits:
        return float(low)
    return low + (high - low) * rng.random() if high is not None else (usual or 0.05) * 2 ** rng.uniform(-2, 1)


def value_at(config, path):
    return reduce(getattr, path, config)


def merged(values, path, value):
    key, *rest = path
    return values | {key: merged(values.get(key, {}), rest, value) if rest else value}


def cohort(base, seeds=range(MEMBERS)):
    return [drawn(base, seed) for seed in seeds], [FakeTrial(seed=seed) for seed in seeds]


def alone(base, seed):
    configs, (trial,) = cohort(base, [seed])
    (reports,) = train(configs, [trial])
    return trial, reports


def same_reports(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for key in one.keys() - set(classify.NOT_REPRODUCIBLE):
            assert one[key] == pytest.approx(other[key], rel=TOLERANCE, abs=1e-6), key


def name_of(base):
    return " ".join(str(value) for component in base.values() for value in component.values())


@pytest.mark.parametrize("base", [*variants()], ids=name_of)
def test_alone_and_in_cohorts(base):
    """Whatever the size of the cohort and the place in it."""
    base = base | {"epochs": 1}
    reference = {seed: alone(base, seed) for seed in (1, 3)}
    for seeds in (range(MEMBERS), [3, 0, 1]):
        configs, trials = cohort(base, seeds)
        made = dict(zip(seeds, zip(trials, train(configs, trials), strict=True), strict=True))
        for seed, (expected, expected_reports) in reference.items():
            trial, reports = made[seed]
            assert gap(trial, expected) < TOLERANCE
            same_reports(reports, expected_reports)


def test_the_walk_finds_the_components_and_their_forms():
    found = {name_of(base) for base in variants()}
    assert {"sgd", "sgd True", "adam", "adamw", "cosine", "noise", "cross_entropy", "mlp tanh", "cnn"} <= found


def test_all_that_may_differ_does_differ():
    base = {"model": {"name": "mlp"}, "augmentation": {"name": "noise"}, "optimizer": {"name": "adam"}}
    configs, _ = cohort(base)
    paths = per_member(classify.Config, base)
    assert len(paths) == 13
    for path in paths:
        assert len({value_at(c, path) for c in configs}) > 1, path


@pytest.mark.parametrize("leaves", [0, 1, 3])
def test_after_others_have_left(leaves):
    base = {"model": {"name": "mlp"}, "optimizer": {"name": "adam"}, "epochs": 4}
    configs, trials = cohort(base)
    for reports in classify.run(configs, trials):
        for number in reports:
            trials[number].saved = through_disk(trials[number].offered())
        trials[leaves].wanted = False
    for seed, trial in enumerate(trials):
        expected = alone(base | ({"epochs": 4} if seed != leaves else {}), seed)[0]
        assert trial.saved["fit"]["epoch"] == (1 if seed == leaves else 4)
        assert seed == leaves or gap(trial, expected) < TOLERANCE


@pytest.mark.parametrize("seeds", [[0, 1, 2, 3], [3, 0], [2, 1, 0, 4, 5]])
def test_random_draws_are_the_same_bits(seeds):
    """Which examples, in which order, with which noise, through which masks of dropout."""
    noise = {"name": "noise", "deviation": 0.5}

    def run(seeds):
        trials = [FakeTrial(seed=seed) for seed in seeds]
        models = [Recording(rate=0.2 * (seed % 4)) for seed in seeds]
        train([config(model=model, augmentation=noise) for model in models], trials)
        return [recorded(trial) for trial in trials]

    for together, seed in zip(run(seeds), seeds, strict=True):
        (expected,) = run([seed])
        assert all(torch.equal(together[name], seen) for name, seen in expected.items())
        assert expected["1.seen"].abs().sum() > 0


def test_draws_differ_between_seeds():
    trials = [FakeTrial(seed=seed) for seed in range(2)]
    train([config(model=Recording(rate=0.5))] * 2, trials)
    first, second = map(recorded, trials)
    assert all(not torch.equal(first[name], second[name]) for name in first)


# --- members that diverge ---------------------------------------------------------------------------------------------


def rates(*lrs, optimizer="sgd"):
    return [config(optimizer={"name": optimizer, "lr": lr}, model={"name": "mlp", "dropout": 0.2}) for lr in lrs]


@pytest.mark.parametrize("wild", [1e30, 1e38, 1e300])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_member_that_diverges_changes_no_bit_of_the_others(wild, place):
    """As long as it is in the stack; then the others are fewer, and sums round in another order."""
    lrs = [0.1, 0.2, 0.05, 0.15]
    states = []
    for lr in (lrs[place], wild):
        trials = [FakeTrial(seed=seed) for seed in range(4)]
        configs = rates(*lrs[:place], lr, *lrs[place + 1 :])
        first = next(classify.run(configs, trials))
        states.append([through_disk(trial.offered())["fit"] for trial in trials])
    assert isinstance(first[place], Diverged)
    assert str(first[place]).startswith("loss/train is nan at step 4")
    healthy, harmed = ([flat(state) for n, state in enumerate(group) if n != place] for group in states)
    assert all(torch.equal(*pair) for pair in zip(healthy, harmed, strict=True))
    assert not flat(states[1][place]).isfinite().all()


def flat(state):
    tensors = [*state["network"]["parameters"].values(), *state["optimizer"].values()]
    return torch.cat([tensor.double().flatten() for tensor in tensors])


def test_a_member_that_diverges_leaves_the_stack_and_the_others_finish():
    trials = [FakeTrial(seed=seed) for seed in range(3)]
    sizes, stacked = [], Fit._gradient_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fit, "_gradient_of", lambda self, *a: sizes.append(len(self)) or stacked(self, *a))
        reports = train(rates(0.1, 1e30, 0.2), trials)
    assert [len(made) for made in reports] == [2, 0, 2]
    assert sizes == [3] * 4 + [2] * 4
    for seed, lr in ((0, 0.1), (2, 0.2)):
        single = FakeTrial(seed=seed)
        train(rates(lr), [single])
        assert gap(trials[seed], single) < TOLERANCE

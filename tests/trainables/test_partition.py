"""Laws of the train, validation and test parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data import Examples, Split
from trainables.training.partition import corrupt, part_rows, partition


def examples(labels, inputs=None, sets=None):
    labels = np.asarray(labels)
    inputs = np.arange(len(labels), dtype=np.float32)[:, None] if inputs is None else inputs
    return Examples(inputs, labels, tuple(str(c) for c in range(max(2, labels.max() + 1))), sets or {})


def rows(data, split=Split(), seed=0):  # noqa: B008 - frozen
    return part_rows(data, split, np.random.default_rng(seed))


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(10, 60), min_size=2, max_size=5),
    test=st.floats(0.1, 0.5),
    validation=st.floats(0.1, 0.5),
    seed=st.integers(0, 99),
)
def test_parts_cover_all_examples_once_with_equal_fractions_of_each_class(sizes, test, validation, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = rows(examples(labels), Split(test_fraction=test, validation_fraction=validation), seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        counts = {name: np.count_nonzero(labels[at] == label) for name, at in parts.items()}
        assert counts["test"] == round(test * size)
        assert counts["validation"] == round(validation * (size - counts["test"]))


def test_test_part_is_the_same_for_every_trial_and_moves_with_the_split_seed():
    data = examples(np.arange(200) % 4)
    first, second = rows(data, seed=1), rows(data, seed=2)
    assert first["test"].tolist() == second["test"].tolist()
    assert first["validation"].tolist() != second["validation"].tolist()
    assert rows(data, Split(seed=1), seed=1)["test"].tolist() != first["test"].tolist()


def test_given_parts_are_kept():
    sets = {"test": np.arange(80, 100), "validation": np.arange(70, 80)}
    parts = rows(examples(np.arange(100) % 2, sets=sets))
    assert {name: at.tolist() for name, at in parts.items()} == {
        "train": list(range(70)),
        "validation": list(range(70, 80)),
        "test": list(range(80, 100)),
    }


def test_an_empty_part_is_refused():
    with pytest.raises(ValueError, match=r"no example is left for the validation part, of 4; change the fractions"):
        rows(examples([0, 0, 1, 1]), Split(test_fraction=0.5, validation_fraction=0.1))


@pytest.mark.parametrize("shape", [(5,), (3, 8, 8)])
def test_training_statistics_alone_scale_the_inputs(shape):
    rng = np.random.default_rng(0)
    inputs = (7 + 3 * rng.standard_normal((400, *shape))).astype(np.float32)
    inputs[:, 0] = 0.1  # a feature, or a channel, that never varies
    data = examples(np.arange(400) % 2, inputs)
    parts = partition(data, Split(), np.random.default_rng(1))
    axes = (0, 2, 3) if len(shape) == 3 else (0,)
    train = parts["train"].inputs(data)
    assert train.mean(axes) == pytest.approx(np.zeros(shape[0]), abs=1e-4)
    assert train.std(axes) == pytest.approx(np.r_[0, np.ones(shape[0] - 1)], abs=1e-4)
    kept = rows(data, seed=1)
    shift, scale = inputs[kept["train"]].mean(axes, keepdims=True), inputs[kept["train"]].std(axes, keepdims=True)
    expected = ((inputs[kept["test"]] - shift) / scale)[:, 1:]
    assert parts["test"].inputs(data)[:, 1:] == pytest.approx(expected, abs=1e-4)


def test_inputs_can_be_left_as_they_are():
    data = examples(np.arange(50) % 2)
    parts = partition(data, Split(standardise=False), np.random.default_rng(0))
    assert sorted(np.concatenate([p.inputs(data) for p in parts.values()]).ravel()) == list(range(50))


@given(
    num_examples=st.integers(1, 80), fraction=st.floats(0, 1), num_classes=st.integers(2, 5), seed=st.integers(0, 99)
)
def test_label_noise_changes_exactly_its_fraction(num_examples, fraction, num_classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_examples)
    noisy = corrupt(labels, fraction, num_classes, rng)
    assert np.count_nonzero(noisy != labels) == round(fraction * num_examples)
    assert set(noisy) <= set(range(num_classes))


def test_label_noise_is_even_over_the_other_classes():
    noisy = corrupt(np.zeros(9_000, int), 1.0, 4, np.random.default_rng(0))
    assert np.bincount(noisy, minlength=4) / 9_000 == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.02)


def test_label_noise_reaches_training_labels_only():
    data = examples(np.arange(100) % 2)
    clean, noisy = (partition(data, Split(label_noise=p), np.random.default_rng(0)) for p in (0.0, 0.25))
    changed = {name: np.count_nonzero(clean[name].labels != noisy[name].labels) for name in clean}
    assert changed == {"train": round(0.25 * len(clean["train"].labels)), "validation": 0, "test": 0}

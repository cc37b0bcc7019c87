"""Every data component: what it loads, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from PIL import Image

from trainables.config import Component, build, check
from trainables.data import Examples, gaussian_mixture, huggingface, image_folder, two_moons

DATA = Component("trainables.data")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Settings for the components that read files."""
    root = tmp_path_factory.mktemp("data")
    write_images(root / "images", size=8)
    rng = np.random.default_rng(0)
    dataset({"image": rng.random((12, 3)).tolist(), "label": [0, 1] * 6}).save_to_disk(root / "saved")
    return {"image_folder": {"path": str(root / "images")}, "huggingface": {"path": str(root / "saved")}}


def write_images(folder, size, per_class=6):
    for value, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.new("RGB", (size, size), (255 * value, 10 * i, 0)).save(folder / name / f"{i}.png")


def dataset(columns, features=None):
    import datasets

    return datasets.Dataset.from_dict(columns, features=features)


NO_PICTURES = {"gaussian_images"}  # noise in the shape of images, which is in no range


@pytest.mark.parametrize("name", DATA.names())
def test_loads_the_same_labelled_examples_twice(name, local):
    config = build(DATA.config(name), local.get(name, {}))
    first, second = config.load(), config.load()
    assert first.digest == second.digest
    assert first.inputs.dtype == np.float32
    assert first.labels.dtype == np.int64
    assert np.isfinite(first.inputs).all()
    assert len(first.inputs) == len(first.labels)
    assert set(first.labels) == set(range(len(first.classes)))
    assert len(first.shape) in (1, 3)
    if len(first.shape) == 3 and name not in NO_PICTURES:
        assert first.inputs.min() >= 0
        assert first.inputs.max() <= 1


@pytest.mark.parametrize(
    ("name", "num_examples", "shape", "classes"),
    [("digits", 1797, (1, 8, 8), 10), ("breast_cancer", 569, (30,), 2), ("wine", 178, (13,), 3)],
)
def test_bundled_data_is_the_one_that_its_page_describes(name, num_examples, shape, classes):
    examples = DATA.config(name)().load()
    assert (len(examples.labels), examples.shape, len(examples.classes)) == (num_examples, shape, classes)


def test_breast_cancer_classes_are_named_as_the_source_counts_them():
    examples = DATA.config("breast_cancer")().load()
    counts = dict(zip(examples.classes, np.bincount(examples.labels), strict=True))
    assert counts == {"malignant": 212, "benign": 357}


@pytest.mark.parametrize("num_examples", [2, 3, 101])
def test_moons_without_noise_lie_on_their_half_circles(num_examples):
    examples = two_moons.Config(num_examples=num_examples, noise=0).load()
    centre = np.where(examples.labels[:, None] == 0, [0, 0], [1, 0.5])
    offset = examples.inputs - centre
    assert np.allclose(np.hypot(*offset.T), 1, atol=1e-6)
    assert (np.where(examples.labels == 0, 1, -1) * offset[:, 1] >= -1e-6).all()


def test_noise_of_the_moons_has_the_given_deviation():
    clean, noisy = (two_moons.Config(num_examples=20_000, noise=noise).load() for noise in (0.0, 0.3))
    assert np.std(noisy.inputs - clean.inputs) == pytest.approx(0.3, rel=0.03)


def test_mixture_has_its_centres_on_the_sphere_and_its_noise_around_them():
    config = gaussian_mixture.Config(num_examples=9_000, num_classes=3, dimensions=5, separation=4, noise=0.5)
    examples = config.load()
    for label in range(3):
        cloud = examples.inputs[examples.labels == label]
        assert len(cloud) == 3_000
        assert np.linalg.norm(cloud.mean(0)) == pytest.approx(4, rel=0.02)
        assert cloud.std(0) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("module", [two_moons, gaussian_mixture])
def test_generators_depend_on_their_seed_only(module):
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    first = module.Config(seed=1).load().digest
    np.random.seed(2)  # noqa: NPY002
    assert module.Config(seed=1).load().digest == first
    assert module.Config(seed=2).load().digest != first


def test_digest_sees_inputs_labels_and_given_split():
    def digest(inputs=0.0, label=0, given=()):
        labels = np.array([label, 1])
        return Examples(np.full((2, 1), inputs), labels, ("a", "b"), {"test": np.array(given, int)}).digest

    assert len({digest(), digest(inputs=1.0), digest(label=1), digest(given=[1])}) == 4


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="got 1 class, expected at least 2"):
        Examples(np.zeros((3, 1)), np.zeros(3, int), ("only",))


# --- image_folder


def test_images_are_read_in_the_order_of_their_names(local):
    examples = image_folder.Config(**local["image_folder"]).load()
    assert examples.classes == ("cat", "dog")
    assert examples.shape == (3, 8, 8)
    assert examples.labels.tolist() == [0] * 6 + [1] * 6
    assert examples.inputs[:, 0, 0, 0].tolist() == [0.0] * 6 + [1.0] * 6
    assert examples.inputs[3, 1, 0, 0] == pytest.approx(30 / 255)


def test_images_are_scaled_and_made_grey(local):
    config = image_folder.Config(**local["image_folder"], size=16, greyscale=True)
    assert config.load().shape == (1, 16, 16)


def test_images_of_different_size_need_a_size(tmp_path):
    write_images(tmp_path, size=8)
    Image.new("RGB", (9, 10)).save(tmp_path / "dog" / "z.png")
    with pytest.raises(ValueError, match=r"z\.png: got 9 x 10 pixels, expected 8 x 8 .* set `size`"):
        image_folder.Config(path=str(tmp_path)).load()
    assert image_folder.Config(path=str(tmp_path), size=8).load().shape == (3, 8, 8)


def test_image_folder_names_what_is_missing_or_broken(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        image_folder.Config(path=str(tmp_path / "nowhere")).load()
    with pytest.raises(ValueError, match="no images; expected <class>/<image>"):
        image_folder.Config(path=str(tmp_path)).load()
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "broken.png").write_bytes(b"no image")
    (tmp_path / "dog").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "dog" / "a.png")
    with pytest.raises(ValueError, match=r"broken\.png: not a readable image"):
        image_folder.Config(path=str(tmp_path)).load()


# --- huggingface


def test_splits_of_the_data_set_are_used(tmp_path):
    import datasets

    def split(n):
        return dataset({"a": [float(i) for i in range(n)], "b": [1] * n, "kind": ["x", "y"] * (n // 2)})

    datasets.DatasetDict({"train": split(8), "test": split(4)}).save_to_disk(tmp_path)
    examples = huggingface.Config(path=str(tmp_path), inputs=("a", "b"), label="kind").load()
    assert examples.classes == ("x", "y")
    assert examples.inputs[:3].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert {name: rows.tolist() for name, rows in examples.given.items()} == {"test": [8, 9, 10, 11]}


def test_pictures_and_class_labels_are_read(tmp_path):
    import datasets

    pictures = [Image.new("L", (8, 8), value) for value in (0, 255, 0, 255)]
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["dark", "light"]))
    dataset({"image": pictures, "label": [0, 1, 0, 1]}, features).save_to_disk(tmp_path)
    examples = huggingface.Config(path=str(tmp_path), greyscale=True).load()
    assert examples.classes == ("dark", "light")
    assert examples.shape == (1, 8, 8)
    assert examples.inputs.mean((1, 2, 3)).tolist() == [0, 1, 0, 1]


def test_plain_files_are_read_through_the_loaders_of_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "train.csv").write_text("height,weight,kind\n1.5,50,b\n2.0,80,a\n")
    (tmp_path / "test.csv").write_text("height,weight,kind\n1.0,30,a\n")
    examples = huggingface.Config(path=str(tmp_path), inputs=("height", "weight"), label="kind").load()
    assert examples.inputs.tolist() == [[1.5, 50], [2, 80], [1, 30]]
    assert [examples.classes[i] for i in examples.labels] == ["b", "a", "a"]
    assert examples.given["test"].tolist() == [2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": "training"}, "no split 'training'; it has train"),
        ({"test": "holdout"}, "no split 'holdout'; it has train"),
        ({"inputs": ("pixels",)}, "no column 'pixels'; it has vector, words, ragged, label, number"),
        ({"inputs": ("words",)}, "words: expected images, or numbers of one shape"),
        ({"inputs": ("ragged",)}, "ragged: expected images, or numbers of one shape"),
        ({"label": "number"}, "number: expected one class for each example"),
    ],
)
def test_huggingface_says_what_does_not_fit(tmp_path, settings, message):
    import datasets

    columns = {
        "vector": [[1.0, 2.0]] * 4,
        "words": ["one", "two", "three", "four"],
        "ragged": [[1.0], [1.0, 2.0], [1.0], [1.0]],
        "label": [0, 1, 0, 1],
        "number": [0.5, 1.5, 0.5, 1.5],
    }
    datasets.DatasetDict({"train": dataset(columns)}).save_to_disk(tmp_path)
    with pytest.raises(ValueError, match=message):
        huggingface.Config(**{"path": str(tmp_path), "inputs": ("vector",)} | settings).load()


def test_huggingface_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'assay\[hub\]'"):
        huggingface.Config(path="mnist").load()


@pytest.mark.parametrize("name", DATA.names())
def test_required_fields_are_asked_for(name):
    config = DATA.config(name)
    required = {f.name for f in dataclasses.fields(config) if f.default is dataclasses.MISSING}
    assert {p.path[0] for p in check(config, {})} == required

"""Which code belongs to a sweep, and what changed in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sweeps import code
from trainables import registry


@pytest.fixture
def project(tmp_path):
    """A user's folder: a trainable that imports one neighbour, which imports another."""
    (tmp_path / "train_it.py").write_text("import near\n\n\ndef train(config):\n    return {'loss': near.value()}\n")
    (tmp_path / "near.py").write_text("from far import VALUE\n\n\ndef value():\n    return VALUE\n")
    (tmp_path / "far.py").write_text("VALUE = 1.0\n")
    (tmp_path / "unrelated.py").write_text("raise RuntimeError\n")
    return tmp_path


def sources_of(folder):
    return code.sources([registry.find("train_it.py:train", folder).module])


def test_the_neighbours_that_are_imported_belong_to_it(project):
    assert set(sources_of(project)) == {"train_it", "near", "far"}


def test_any_change_shows_as_a_diff(project, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    before = code.save(run, sources_of(project))
    assert code.diff(run, sources_of(project)) == []
    (project / "far.py").write_text("VALUE = 2.0\n")
    changed = code.diff(run, sources_of(project))
    assert "-VALUE = 1.0" in changed
    assert "+VALUE = 2.0" in changed
    assert code.digest(sources_of(project)) != before


def test_shipped_trainables_bring_the_components_that_are_picked():
    found = registry.find("supervised.classify")
    config = found.build({"model": {"name": "cnn"}})
    names = set(code.sources({found.module} | code.modules_of(config)))
    assert {"trainables.supervised.classify", "trainables.models.cnn", "trainables.data.digits"} <= names
    assert "trainables.models.mlp" not in names or "trainables.models.mlp" in str(found.module.__dict__)
    assert not [name for name in names if not name.startswith("trainables")]


def test_a_copy_that_was_broken_off_is_no_change_of_the_code(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    found = {}
    for name in ("a", "b", "c"):
        found[name] = tmp_path / f"{name}.py"
        found[name].write_text(f"{name} = 1\n")
    gone = {**found, "b": tmp_path / "gone.py"}
    with pytest.raises(FileNotFoundError):
        code.save(tmp_path / "run", gone)
    assert code.diff(tmp_path / "run", found) == []
    code.save(tmp_path / "run", found)
    assert sorted(path.name for path in (tmp_path / "run" / code.FOLDER).iterdir()) == ["a.py", "b.py", "c.py"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [code.FOLDER]


LOOKS = """
import sys
from sweeps import code
from trainables import registry
names = code.sources([registry.find("supervised.classify").module])
print("trainables.training.fitting" in names, "torch" in sys.modules)
"""


def test_code_is_found_without_running_it():
    """PyTorch alone would take longer than everything else before a run begins."""
    done = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]

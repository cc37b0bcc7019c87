import itertools
import os
import sys
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# One thread each, also in child processes: tests train small things, and threads that wait for a core cost far more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

for room in ("sweeps", "cluster", "analysis", "trainables", "fuzz"):
    sys.path.append(str(Path(__file__).parent / room))

# The shapes in the signatures of these modules are checked at every call. No test may import one before.
TRAINING = ("draws", "examples", "fitting", "initialising", "layers", "members", "partition", "stacking")
CHECKED = ("metrics", *(f"training.{name}" for name in TRAINING))
install_import_hook([f"trainables.{name}" for name in CHECKED], "beartype.beartype")

_numbers = itertools.count()


def pytest_collection_modifyitems(items):
    """Tests run in as many processes as there are cores, except that one Ray at a time is enough for a machine."""
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.xdist_group("cluster"))


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory):
    """Not those of whoever runs the tests. Matplotlib's list of fonts, which takes a while, is made once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        yield


@pytest.fixture(autouse=True)
def _forgets_sizes(tmp_path_factory):
    """No test knows the sizes of cohorts that another one has found out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache-{next(_numbers)}"))
        yield

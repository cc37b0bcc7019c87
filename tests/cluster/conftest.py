from __future__ import annotations

import pytest
from fakes import HERE, OpenFiles


@pytest.fixture(scope="session")
def ray_session():
    """One Ray with two CPUs for all tests of this folder that need it. Its workers can import the fakes."""
    from cluster.session import session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE)
        with session(num_cpus=2):
            yield


@pytest.fixture
def files(tmp_path):
    return OpenFiles(tmp_path)

from __future__ import annotations

import pytest
from fakes import OpenFiles
from machines import join_local, leave_local


@pytest.fixture(scope="session")
def _leaves_at_the_end():
    yield
    leave_local()


@pytest.fixture
def ray_session(_leaves_at_the_end):
    """One Ray with two CPUs for all tests of this folder that need it; anew after one that has joined another."""
    join_local()


@pytest.fixture
def files(tmp_path):
    return OpenFiles(tmp_path)

from __future__ import annotations

import pytest
from prompt import User


@pytest.fixture
def user(tmp_path, monkeypatch):
    monkeypatch.delenv("ASSAY_RUNS", raising=False)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    return User(tmp_path)

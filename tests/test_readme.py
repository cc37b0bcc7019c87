"""What the README shows is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sweeps import check, resolve

README = Path(__file__).parents[1] / "README.md"
BASE = """
sweep: base
question: What?
trainable: supervised.classify
objective: {minimize: loss/validation}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(3))
def test_every_sweep_in_it_passes_the_check(number, tmp_path):
    text = blocks("yaml")[number]
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "my_file.py").write_text(blocks("python")[0])
    (tmp_path / "it.yaml").write_text(text)
    check.check_all_scales(resolve.load(tmp_path / "it.yaml"))


def test_its_commands_exist():
    from sweeps.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands} | {"new"}
    named = set(re.findall(r"`assay ([a-z]+)", README.read_text(encoding="utf-8")))
    assert named <= known, named - known
    assert len(blocks("yaml")) == 3

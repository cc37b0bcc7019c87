"""Every sweep that is shipped is right, at all of its scales, and runs."""

from __future__ import annotations

import pytest
from prompt import decisions

from sweeps.check import check_all_scales
from sweeps.resolve import LIBRARY, library, load

NAMES = list(library())
QUICK = {"quickstart"}  # below ten seconds at the scale smoke


def test_there_is_a_library():
    assert "quickstart" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_right_at_every_scale(name):
    check_all_scales(load(name))


@pytest.mark.parametrize("name", NAMES)
def test_first_line_names_the_schema_for_editors(name):
    path = library()[name]
    first = path.read_text(encoding="utf-8").splitlines()[0]
    key, _, schema = first.partition("$schema=")
    assert key == "# yaml-language-server: "
    assert (path.parent / schema).resolve() == (LIBRARY.parent / "schema.json").resolve()


@pytest.mark.parametrize("name", NAMES)
def test_it_says_where_it_comes_from_and_claims_something(name):
    sweep = load(name).sweep
    assert sweep.source
    assert sweep.question.endswith("?")
    assert sweep.claims
    assert sweep.sweep == name.rsplit("/", 1)[-1]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_smallest_scale_runs(user, name):
    assert "smoke" in load(name).scales
    said = user.assay("run", name, "--scale", "smoke", "--inline")
    assert said.code == 0, said.err
    endings = decisions(user.run, "done", "pruned", "failed", "diverged", "lost")
    assert {record["kind"] for record in endings} <= {"done", "pruned"}
    assert all(claim.name in said.out for claim in load(name).sweep.claims)

"""The JSON Schema that is shipped is that of the models, takes the shipped sweeps and refuses wrong ones."""

from __future__ import annotations

import json

import pytest
from bad_files import GOOD, KEYS, Bad, but, plus
from jsonschema import Draft202012Validator

from sweeps import schema
from sweeps.document import Mark, parse, read
from sweeps.resolve import LIBRARY, library

VALIDATOR = Draft202012Validator(schema.schema())


def errors(text: str) -> list[str]:
    tree = parse(text, lambda at: Mark("x", at.line + 1)).plain
    return [error.message for error in VALIDATOR.iter_errors(tree)]


def test_the_shipped_schema_is_current():
    hint = "run: assay schema > sweeps/schema.json"
    assert schema.FILE.read_text("utf-8") == schema.text(), hint


def test_it_is_a_schema():
    Draft202012Validator.check_schema(json.loads(schema.text()))


@pytest.mark.parametrize("name", library())
def test_shipped_sweeps_fit_and_name_the_schema(name):
    path = library()[name]
    assert not [*VALIDATOR.iter_errors(read(path).tree)]
    up = "../" * len(path.relative_to(LIBRARY).parts)
    assert path.read_text("utf-8").startswith(f"# yaml-language-server: $schema={up}schema.json\n")


@pytest.mark.parametrize("bad", KEYS, ids=[bad.id for bad in KEYS])
def test_wrong_keys_are_refused(bad: Bad):
    assert isinstance(bad.text, str)
    assert errors(bad.text)


@pytest.mark.parametrize(
    "text",
    [
        but("points: 4", "points: four"),
        but("points: 4", "points: 0"),
        but("tpe", "tpee"),
        but("[mlp, cnn]", "mlp"),
        but("levels: 3", "levels: 1"),
        but("low: 1e-3", "low: small"),
        but("low: 1e-3", "low: 8/x"),
        plus("resources: {cpus: 0}\n"),
        plus("resources: {cohort: some}\n"),
        but("sweep: toy", "sweep: My toy"),
        but("expect: less", "expect: lower"),
    ],
)
def test_wrong_values_are_refused(text):
    assert errors(text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        but("low: 1e-3", "low: 1/1000"),
        but("{geometric: [4, 16], levels: 3}", "{geometric: [1/255, 8/255], levels: 3}"),
        but("[mlp, cnn]", "[mlp, {label: big, name: mlp, width: 64}, 3, null]"),
        but("{minimize: loss/validation}", "[{minimize: a}, {maximize: b, at: {mean_of_last: 3}}]"),
        but("smoke: {search.points: 2}", "smoke: {search.points: 2, nuisance.lr: null, fixed: {a: [1]}}"),
        "extends: quickstart\nsweep: mine\n",
        plus("resources: {cohort: off, cpus: 1/2}\nconstraints: {lr: {at_most: smoothing}}\n"),
    ],
)
def test_right_files_are_taken(text):
    assert errors(text) == []


def test_descriptions_reach_the_editor():
    found = schema.schema()
    assert found["properties"]["nuisance"]["description"]
    assert found["$defs"]["Range"]["properties"]["log"]["description"]

"""Text -> tree with places: scalars of YAML 1.2, limits, round trips, and no crash on any input."""

from __future__ import annotations

import math
import pickle
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sweeps.document import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse, read, write
from sweeps.errors import Mark, SpecError, message, refusal


def place(at):
    return Mark("x.yaml", at.line + 1, at.column + 1)


def value(text: str):
    return parse(text, place).plain


def problem(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, place)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("1.0e-3", 1e-3),
        (".5", 0.5),
        ("3.", 3.0),
        ("-.5e1", -5.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("12", 12),
        ("-12", -12),
        ("+7", 7),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_of_yaml_1_2(text, expected):
    found = value(f"a: {text}")["a"]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    "text",
    [
        *("off", "on", "yes", "no", "y", "n", "tRue", "nul", "1_000", "12:30:45", "2024-01-01", "8/255", "1e", "e3"),
        *("0b11", "0o8", "-0x1F", "\u0661", "1.2.3", ".e3", "Inf", "nan", "=", "."),
    ],
)
def test_what_stays_text(text):
    assert value(f"a: {text}") == {"a": text}


def test_nan_is_a_float():
    assert math.isnan(value("a: .nan")["a"])


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "0xFFFFFFFFFFFFFFFF", "9" * 5000])
def test_integers_beyond_64_bits_are_refused(number):
    assert problem(f"a: {number}").startswith("x.yaml:1:4: integer too large")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!str 3", "3"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("! 3", "3"),
        ("!!float 3", 3.0),
        ("!!int 3", 3),
        ("!!null", None),
        ("!!seq [1]", [1]),
        ("!!map {b: 1}", {"b": 1}),
        ("!!bool false", False),
    ],
)
def test_tags_of_the_core_schema(text, expected):
    found = value(f"a: {text}")["a"]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("tag", ["!!timestamp 2024-01-01", "!!binary aGk=", "!!set {a}", "!!omap []", "!mine 3"])
def test_other_tags_are_refused(tag):
    assert "x.yaml:1:4: unknown tag" in problem(f"a: {tag}")


def test_every_key_and_value_has_its_place(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b: [1, {c: 2}]\n\n  'd e': text\n")
    document = read(path)
    places = {key: (mark.line, mark.column) for key, mark in document.marks.items()}
    assert places == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", "b"): (2, 6),
        ("a", "b", 0): (2, 7),
        ("a", "b", 1): (2, 10),
        ("a", "b", 1, "c"): (2, 14),
        ("a", "d e"): (4, 10),
    }
    assert {key: (m.line, m.column) for key, m in document.keys.items()} == {
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 1, "c"): (2, 11),
        ("a", "d e"): (4, 3),
    }
    assert document.value_at(("a", "b", 9, "z")) == document.marks["a", "b"]


def test_an_alias_is_a_copy_at_its_own_place():
    node = parse("a: &x {b: 1}\nc: *x\n", place)
    assert node.plain == {"a": {"b": 1}, "c": {"b": 1}}
    assert node.get(("c",)).mark.line == 2
    assert node.get(("c",)).key == Mark("x.yaml", 2, 1)


def test_the_limit_of_depth_holds_exactly():
    deepest = MAX_DEPTH - 1  # the scalar is a level, too
    assert value("[" * deepest + "1" + "]" * deepest)
    assert "nested too deeply" in problem("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)


def test_aliases_count_towards_the_depth():
    chain = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))
    assert "nested too deeply" in problem(chain)


def test_the_limit_of_values_holds_with_aliases_written_out():
    block = ", ".join(["1"] * 99)  # 100 nodes with the list
    copies = MAX_NODES // 100 - 10
    assert len(value(f"a: &x [{block}]\nb: [{', '.join(['*x'] * copies)}]\n")["b"]) == copies
    assert "too many values" in problem(f"a: &x [{block}]\nb: [{', '.join(['*x'] * (copies + 10))}]\n")


def test_all_problems_that_are_no_syntax_come_at_once():
    text = problem("a: 1\na: 2\nb: !x 1\n3: 4\nc: 99999999999999999999\n")
    assert [line.split(":")[1] for line in text.split("\n")] == ["2", "3", "4", "5"]


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read(tmp_path / "a.yaml")
    assert document.tree == {"a": 1}
    assert document.keys["a",].column == 1


def test_folders_missing_and_large_files(tmp_path):
    with pytest.raises(SpecError, match="a folder"):
        read(tmp_path)
    with pytest.raises(SpecError, match="no such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: 1 #" + "x" * (MAX_BYTES - 6))
    assert read(tmp_path / "a.yaml").tree == {"a": 1}
    (tmp_path / "a.yaml").write_text("a: 1 #" + "x" * (MAX_BYTES - 5))
    with pytest.raises(SpecError, match="too large"):
        read(tmp_path / "a.yaml")


def test_special_files_are_not_read():
    with pytest.raises(SpecError, match="no such file"):
        read(Path("/dev/zero"))


def test_messages_are_one_printable_line_and_survive_pickling():
    error = refusal(message(Mark("a\nb.yaml", 1, 2), "what\n\x1b[31m", "got\r"), message(Mark("b", 1, 1), "z"))
    assert len(error.messages) == 2
    assert all(line.isprintable() for line in error.messages)
    assert pickle.loads(pickle.dumps(error)).messages == error.messages


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(["1e-3", "off", "null", "~", "", "8/255", "2024-01-01", "0x1F", "1_0", ".inf", "<<", "=", "- a"])
    | st.sampled_from(
        ["true", "No", "12:30", "a: b", "a #b", "'", '"', "\n", " a ", "é", "\u2028", "\x85", "\ufeff", "\t"]
    )
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["1e-3", "off", "null", "<<", ""]
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4), max_leaves=8
    ),
    max_size=5,
)


@settings(deadline=None, max_examples=80)
@given(TREES)
@example({"x" * 2000: 1e-5, "a": 1e16, "b": -0.0, "c": 5e-324, "d": "x" * 2000, "e": "a " * 500})
def test_what_is_written_is_read_back(tree):
    found = value(write(tree))
    assert found == tree
    assert repr(found) == repr(tree)  # types, too: 1 is not 1.0


def refusals(act) -> list[str]:
    try:
        act()
    except SpecError as error:
        return error.messages
    return []


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=60)
    | st.text("{}[]:,&*!|>-?#'\"%@`\\ \n\tab1~<.", max_size=60)
    | st.lists(
        st.sampled_from(["a: ", "- ", "  ", "\n", "&x ", "*x", "{", "}", "[", "]", "'", "!!int ", "---", "<<: ", "? "])
    ).map("".join)
)
def test_any_text_is_read_or_refused_in_plain_lines(text):
    found = refusals(lambda: parse(text, place))
    assert all(line.startswith("x.yaml:") and line.isprintable() for line in found)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40) | st.text(string.printable, max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_bytes(content)
        found = refusals(lambda: read(path))
        assert all(line.startswith(str(path)) for line in found)
        assert found or isinstance(read(path).tree, dict)

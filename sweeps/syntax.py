"""PyYAML's syntax errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml
from yaml.reader import ReaderError

from sweeps.errors import Mark

_WORDS = [
    (r"found character '\\t'", "a tab; YAML takes spaces only"),
    (r"found character '(.)' that cannot start", r"text that starts with \1; put it in quotes"),
    (r"mapping values are not allowed", "a ':' where no key can be; check the indentation, or put the text in quotes"),
    (r"could not find expected ':'", "a line without ':' after its key"),
    (r"expected <block end>, but found '-'", "a list item where a key was expected; check the indentation"),
    (r"expected <block end>", "the indentation does not fit the lines above"),
    (r"expected ',' or '(.)'", r"a ',' or '\1' is missing"),
    (r"found unexpected end of stream|found unexpected document separator", "a quote that is not closed"),
    (r"found unknown escape character (.*)", r"unknown escape \1 in double quotes; single quotes take it as it is"),
    (r"expected the node content|did not find expected", "a value is missing"),
    (r"found undefined tag handle", "unknown tag"),
    (r"sequence entries are not allowed", "a list item where none can be; put it on a line of its own"),
]


def in_plain_words(error: yaml.YAMLError, text: str, place: Callable[[yaml.Mark], Mark]) -> tuple[Mark, str]:
    """Where the error is and what it is, in one line."""
    if isinstance(error, ReaderError):
        return place(_mark_of(text, error.position)), f"a character that YAML does not allow: got {_code(error)}"
    assert isinstance(error, yaml.MarkedYAMLError)
    not_closed = error.context == "while scanning a quoted scalar"
    at = error.context_mark if not_closed else error.problem_mark or error.context_mark
    problem = error.problem or error.context or "not YAML"
    return place(at or _mark_of(text, 0)), _plain(problem, text, at)


def _code(error: ReaderError) -> str:
    letter = error.character
    return f"U+{letter if isinstance(letter, int) else ord(letter):04X}"


def _plain(problem: str, text: str, at: yaml.Mark | None) -> str:
    if at and text[at.index : at.index + 1] == "\t":
        return _WORDS[0][1]
    for pattern, words in _WORDS:
        if match := re.search(pattern, problem):
            return match.expand(words)
    return " ".join(problem.replace("<", "").replace(">", "").split())


def _mark_of(text: str, index: int) -> yaml.Mark:
    before = text[:index]
    return yaml.Mark("", index, before.count("\n"), index - before.rfind("\n") - 1, None, 0)

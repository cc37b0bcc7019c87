"""Pydantic's errors as lines of our own, each with its place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError
from typing_extensions import is_typeddict

from sweeps.document import Document, KeyPath
from sweeps.errors import Message, message, shown, unknown
from sweeps.spec import Sweep
from sweeps.values import FAULT
from trainables.config import nearest

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "float_parsing": "a number",
    "int_parsing": "an integer",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LIMITS = {
    "greater_than": ("gt", "above {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "below {}"),
    "less_than_equal": ("le", "at most {}"),
    "too_short": ("min_length", "{} or more entries"),
    "too_long": ("max_length", "{} entries at most"),
    "string_too_short": ("min_length", "{} or more letters"),
    "string_too_long": ("max_length", "{} letters at most"),
}
_PATTERNS = {r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and dashes"}
_KEY = "[key]"  # pydantic's mark for an error about a key, not its value


def problems(document: Document, error: ValidationError, root: type[BaseModel] = Sweep) -> list[Message]:
    """One message per problem of a document that should be a ``root``."""
    errors: list[dict[str, Any]] = [{**e} for e in error.errors(include_url=False)]
    piled = [e for e in errors if e["type"] in _TYPES and _reached(document, e) != _path(e["loc"])]
    return [_message(document, e, root) for e in errors if e not in piled] + _joined(document, piled, errors)


def _reached(document: Document, error: dict[str, Any]) -> KeyPath:
    """The part of the place of an error that is in the file; what follows are types, the alternatives of a union."""
    path = _path(error["loc"])
    return next(path[:n] for n in range(len(path), -1, -1) if document.root.has(path[:n]))


def _joined(document: Document, piled: list[dict[str, Any]], errors: list[dict[str, Any]]) -> list[Message]:
    """One message for all the alternatives of a union, unless another error is about something inside the value."""
    expected: dict[KeyPath, list[str]] = {}
    for error in piled:
        expected.setdefault(_reached(document, error), []).append(_TYPES[error["type"]])
    places = {_reached(document, error) for error in errors}
    return [
        message(document.value_at(path), "wrong type", shown(document.root.get(path).plain), " or ".join(types))
        for path, types in expected.items()
        if not any(len(other) > len(path) and other[: len(path)] == path for other in places)
    ]


def _message(document: Document, error: dict[str, Any], root: type[BaseModel]) -> Message:
    path, kind = _path(error["loc"]), error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(document, path, fields_at(error["loc"], root))
    if kind == "missing":
        return _missing(document, path)
    if kind == FAULT:
        return _fault(document, path, error)
    mark = document.key_at(path) if _KEY in error["loc"] else document.value_at(path)
    return message(mark, *_words(kind, error, error.get("ctx", {})))


def _words(kind: str, error: Mapping[str, Any], ctx: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What, got, expected and nearest."""
    got = shown(error["input"])
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", ctx["expected"])
        near = nearest(error["input"], names)
        return "unknown value", got, "" if near else "one of " + ", ".join(names), near
    if kind in _TYPES:
        return "wrong type", got, _TYPES[kind], ""
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return "out of range", got, words.format(ctx[key]), ""
    if kind == "string_pattern_mismatch":
        return "not a name", got, _PATTERNS.get(ctx["pattern"], "another form"), ""
    return _sentence(error["msg"]), "", "", ""


def _path(loc: tuple[str | int, ...]) -> KeyPath:
    """The way of keys, without the tags of unions."""
    return tuple(part for part in loc if part != _KEY and not str(part).startswith("|"))


def _unknown_key(document: Document, path: KeyPath, fields: list[str]) -> Message:
    """The nearest key is rather one that is not there yet."""
    there = dict(document.root.get(path[:-1]).children())
    free = [name for name in fields if name not in there]
    return unknown(document.key_at(path), "unknown key", str(path[-1]), free if nearest(path[-1], free) else fields)


def _missing(document: Document, path: KeyPath) -> Message:
    *above, last = path
    if isinstance(last, int):
        return message(document.value_at(tuple(above)), "too short", expected=f"{last + 1} entries")
    owner = ".".join(map(str, above))
    return message(document.value_at(tuple(above)), f"missing key {last!r}" + (f" in {owner}" if owner else ""))


def _fault(document: Document, path: KeyPath, error: Mapping[str, Any]) -> Message:
    """An error in words of ours; ``at`` says which key below the place it is about."""
    ctx, value = error["ctx"], error["input"]
    if ctx["at"]:
        path = (*path, ctx["at"])
        value = document.root.get(path).plain
    return message(document.value_at(path), ctx["what"], shown(value) if ctx["expected"] else "", ctx["expected"])


def _sentence(text: str) -> str:
    text = re.sub(r"^(Value error|Assertion failed), ", "", text)
    return text[:1].lower() + text[1:]


# --- which keys are valid where --------------------------------------------------------------------------------------


def fields_at(loc: tuple[str | int, ...], root: type[BaseModel] = Sweep) -> list[str]:
    """The keys of the model that holds the last part of ``loc``, a place in a ``root`` as pydantic gives it."""
    models: list[Any] = [root]
    for part in loc[:-1]:
        if str(part).startswith("|"):
            models = [model for model in models if model.__name__.lower() == str(part)[1:]] or models
        elif below := [fields[str(part)] for model in models if part in (fields := _fields(model))]:
            models = [model for hint in below for model in _models(hint)]
    return [name for model in models for name in _fields(model)]


def _fields(model: Any) -> dict[str, Any]:
    if is_typeddict(model):
        return {**get_type_hints(model)}
    return {name: field.annotation for name, field in model.model_fields.items()}


def _models(hint: Any) -> Iterator[Any]:
    """The models that a type is made of."""
    if (isinstance(hint, type) and issubclass(hint, BaseModel)) or is_typeddict(hint):
        yield hint
    else:
        for part in get_args(hint):
            yield from _models(part)

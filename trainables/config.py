"""Typed configs: nested mappings from YAML, checked against the ``Config`` of a trainable.

A ``Config`` is a frozen dataclass of numbers, text, ``Literal``s, tuples, other such dataclasses, and *components*:
fields like ``model: Models``, where ``name`` picks a module of a package and that module's own ``Config`` types the
rest.  ``{name: mlp, width: 32}`` becomes ``trainables.models.mlp.Config(width=32)``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from trainables.api import PER_MEMBER

_RATIO = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a config. ``path`` is the way of keys to it."""

    path: tuple[str, ...]
    what: str
    got: str = ""
    expected: str = ""
    nearest: str = ""


class ConfigError(ValueError):
    """A config that its trainable does not take; the message lists every problem."""


def number(value: Any) -> Any:
    """Read ``8/255`` as the float nearest to the fraction; leave anything else as it is."""
    if isinstance(value, str) and (match := _RATIO.fullmatch(value)) and float(match[2]) != 0:
        return float(match[1]) / float(match[2])
    return value


class Component:
    """Annotates a field whose ``name`` picks a module of ``package``, which has a ``Config`` of its own.

    An ``optional`` one may be null, and be so by default.
    """

    def __init__(self, package: str, *, optional: bool = False) -> None:
        self.package, self.optional = package, optional

    def names(self) -> list[str]:
        return list(_component_names(self.package))

    def config(self, name: str) -> type:
        return importlib.import_module(f"{self.package}.{name}").Config

    def _parse(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("component", "a mapping with a name")
        name = value.get("name")
        if name not in self.names():
            raise PydanticCustomError("component_name", "{names}", {"names": " | ".join(self.names())})
        return _validate(self.config(name), {k: v for k, v in value.items() if k != "name"})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._parse)


@cache
def _component_names(package: str) -> list[str]:
    """Sorted; a look at the folder for every field of every config would take most of the time that checks take."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    names = [module.name for module in modules if not module.ispkg]
    return sorted(name for name in names if hasattr(importlib.import_module(f"{package}.{name}"), "Config"))


def component_name(config: Any) -> str:
    """The name that picks this component: the name of its module."""
    return type(config).__module__.rsplit(".", 1)[-1]


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    _forbid_extras(cls)
    return TypeAdapter(cls)


def _forbid_extras(cls: type) -> None:
    """Make pydantic refuse unknown keys, in this dataclass and in those that it holds."""
    for inner in (_dataclass_of(hint) for hint in hints(cls).values()):
        if inner:
            _forbid_extras(inner)
    if "__pydantic_config__" not in vars(cls):
        cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]


def _validate(cls: type, values: Mapping[str, Any]) -> Any:
    """Strict, as JSON: text is no number and true is no 1, but a list may fill a tuple and a mapping a dataclass."""
    return _adapter(cls).validate_json(json.dumps(_read_ratios(cls, values)), strict=True)


def _read_ratios(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    def read(name: str) -> Any:
        hint, value = hints(cls).get(name), _given(cls, name, values)
        if isinstance(value, Mapping) and (inner := _inner(hint, value)):
            return _read_ratios(inner, value)
        return number(value) if float in (hint, *get_args(hint)) else value

    return {name: read(name) for name in values}


def _given(cls: type, name: str, values: Mapping[str, Any]) -> Any:
    """What a field is set to, or its default. A component without a name is the default one, with these changes."""
    field = _fields(cls).get(name)
    default = _default(field) if field else None
    value = values.get(name, default)
    nameless = isinstance(value, Mapping) and "name" not in value and component_of(hints(cls).get(name))
    return {**_plain(default), **value} if nameless and default is not None else value


@cache
def _fields(cls: type) -> dict[str, dataclasses.Field[Any]]:
    return {f.name: f for f in dataclasses.fields(cls)}


@cache
def hints(cls: type) -> dict[str, Any]:
    """Field name -> type with its annotations."""
    found = get_type_hints(cls, include_extras=True, localns=vars(sys.modules[cls.__module__]))
    return {f.name: found[f.name] for f in dataclasses.fields(cls)}


def build(cls: type, values: Mapping[str, Any]) -> Any:
    """Make an instance of the dataclass ``cls``; raises ConfigError with one line per problem."""
    try:
        return _validate(cls, values)
    except ValidationError as error:
        problems = _problems(cls, values, error)
        text = "; ".join(f"{'.'.join(p.path)}: {p.what} (got {p.got})" for p in problems)
        raise ConfigError(text) from None


def check(cls: type, values: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with ``values`` as a ``cls``."""
    try:
        _validate(cls, values)
    except ValidationError as error:
        return _problems(cls, values, error)
    return []


def _problems(cls: type, values: Mapping[str, Any], error: ValidationError) -> list[Problem]:
    return [_problem(cls, values, dict(e)) for e in error.errors(include_url=False)]


def _problem(cls: type, values: Mapping[str, Any], error: dict[str, Any]) -> Problem:
    path = tuple(str(part) for part in error["loc"])
    got, kind = repr(error["input"]), error["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [p[-1] for p in paths(cls, values) if p[:-1] == path[:-1]]
        return Problem(path, "unknown field", repr(path[-1]), "one of " + ", ".join(known), nearest(path[-1], known))
    if kind == "component_name":
        names = error["ctx"]["names"].split(" | ")
        name = error["input"].get("name") if isinstance(error["input"], Mapping) else error["input"]
        return Problem((*path, "name"), "unknown name", repr(name), "one of " + ", ".join(names), nearest(name, names))
    if kind in ("missing", "missing_argument"):
        return Problem(path, "missing field", "nothing", "a value")
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return Problem(path, "unknown value", got, "one of " + ", ".join(names), nearest(error["input"], names))
    return Problem(path, "wrong value", got, _expected(error["msg"]))


def _expected(message: str) -> str:
    return re.sub(r"^Input should be (a valid )?", "", message)


def nearest(name: Any, known: list[str]) -> str:
    """The known name that is most like ``name``, or an empty text."""
    return next(iter(difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)), "")


def component_of(hint: Any) -> Component | None:
    return next((part for part in get_args(hint) if isinstance(part, Component)), None)


def _inner(hint: Any, value: Any) -> type | None:
    """The dataclass that types the fields below this one, given the value that may pick it."""
    if component := component_of(hint):
        name = value.get("name") if isinstance(value, Mapping) else value
        return component.config(name) if name in component.names() else None
    return _dataclass_of(hint)


def _dataclass_of(hint: Any) -> type | None:
    base = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return base if dataclasses.is_dataclass(base) and isinstance(base, type) else None


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def paths(cls: type, values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every path that may be set in ``cls``, given which components ``values`` picks."""
    for field in dataclasses.fields(cls):
        hint = hints(cls)[field.name]
        value = _given(cls, field.name, values)
        yield (field.name,)
        if component_of(hint):
            yield (field.name, "name")
            value = value if isinstance(value, str | Mapping) else _plain(value)
        if inner := _inner(hint, value):
            yield from ((field.name, *rest) for rest in paths(inner, value if isinstance(value, Mapping) else {}))


def per_member(cls: type, values: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """The paths that may differ inside a cohort."""
    return {path for path in paths(cls, values) if PER_MEMBER in get_args(hint_at(cls, values, path))}


def without_members(config: Any) -> dict[str, Any]:
    """A typed config as plain mappings, without what may differ inside a cohort."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = [type(value).__module__, without_members(value)]
        elif PER_MEMBER not in get_args(hints(type(config))[field.name]):
            found[field.name] = _plain(value)
    return found


def hint_at(cls: type, values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The annotated type of the field at ``path``; raises KeyError if there is none."""
    hint = hints(cls)[path[0]]
    if len(path) == 1:
        return hint
    if path[1] == "name" and component_of(hint):
        return str
    value = _plain(_given(cls, path[0], values))
    inner = _inner(hint, value)
    if inner is None:
        raise KeyError(".".join(path))
    return hint_at(inner, value if isinstance(value, Mapping) else {}, path[1:])


def canonical(config: Any) -> dict[str, Any]:
    """A typed config as plain nested mappings, with every default filled in."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = {"name": component_name(value)} if type(value).__qualname__ == "Config" else {}
        return name | canonical(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value

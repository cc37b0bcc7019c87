"""What may be set in a ``Config``: fields, types, ranges, defaults and what they mean."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from trainables.api import PER_MEMBER
from trainables.config import Component, canonical, component_name, component_of, hints

_NAMES = {float: "float", int: "int", str: "text", bool: "true or false", NoneType: "null"}
_SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


@dataclass(frozen=True)
class Field:
    """One field of a config. ``choices`` are the components that it may pick, each with fields of its own."""

    path: str
    type: str
    default: Any = None
    required: bool = False
    range: str = ""
    per_member: bool = False
    doc: str = ""
    choices: Mapping[str, list[Field]] = field(default_factory=dict)


def fields(cls: type, above: str = "") -> list[Field]:
    """The fields of the dataclass ``cls``; those of a nested dataclass follow it, with dotted paths."""
    docs, found = docstrings(cls), []
    for item in dataclasses.fields(cls):
        hint = hints(cls)[item.name]
        path = f"{above}{item.name}"
        found.append(_field(path, item, hint, docs.get(item.name, "")))
        inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if not component_of(hint) and dataclasses.is_dataclass(inner) and isinstance(inner, type):
            found += fields(inner, f"{path}.")
    return found


def _field(path: str, item: dataclasses.Field[Any], hint: Any, doc: str) -> Field:
    component = component_of(hint)
    missing = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    return Field(
        path=path,
        type=type_text(hint),
        default=_default(item),
        required=missing,
        range=range_text(hint),
        per_member=PER_MEMBER in get_args(hint),
        doc=doc,
        choices=_choices(component, path) if component else {},
    )


def _choices(component: Component, path: str) -> dict[str, list[Field]]:
    return {name: fields(component.config(name), f"{path}.") for name in component.names()}


def _default(item: dataclasses.Field[Any]) -> Any:
    """As it would stand in YAML; a component by its name alone."""
    value = None if item.default is dataclasses.MISSING else item.default
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return component_name(value) if type(value).__qualname__ == "Config" else canonical(value)
    return value


def type_text(hint: Any) -> str:
    """A type in plain words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        names = " | ".join(component.names()) if (component := component_of(hint)) else ""
        return names or type_text(args[0])
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, args))
    if origin in (tuple, list):
        return "list of " + " | ".join(dict.fromkeys(type_text(arg) for arg in args if arg is not Ellipsis))
    if dataclasses.is_dataclass(hint):
        return "mapping"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def range_text(hint: Any) -> str:
    """The limits of a number, such as ``>= 0, <= 1``."""
    limits = [part for part in get_args(hint) if type(part) in _SIGNS] if get_origin(hint) is Annotated else []
    return ", ".join(f"{_SIGNS[type(p)][0]} {getattr(p, _SIGNS[type(p)][1])}" for p in limits)


def docstrings(cls: type) -> dict[str, str]:
    """Field name -> the text that stands below it, in the class or in one that it extends."""
    bases = [base for base in reversed(cls.__mro__) if dataclasses.is_dataclass(base)]
    return {name: text for base in bases for name, text in _own_docstrings(base).items()}


def _own_docstrings(cls: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, SyntaxError, TypeError):  # made at run time: there is no text
        return {}
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for statement, after in pairwise(statements):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            if isinstance(text, str):
                found[statement.target.id] = inspect.cleandoc(text)
    return found

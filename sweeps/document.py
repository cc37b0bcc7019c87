"""Reads YAML text into a plain tree that knows the place of every key and value.

Scalars follow the core schema of YAML 1.2, not PyYAML's 1.1: ``1e-3`` is a number, ``off`` and ``2024-01-01`` are text.
Nothing is ever built but mappings with text keys, lists, text, numbers, booleans and null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import yaml

from sweeps.errors import Mark, Message, message, refusal, refuse, shown
from sweeps.syntax import in_plain_words

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 50_000
INT_DIGITS = 19

KeyPath = tuple[str | int, ...]

_PATTERNS = {
    type(None): r"|~|null|Null|NULL",
    bool: r"true|True|TRUE|false|False|FALSE",
    int: r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    float: r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}
_SCALARS = {kind: re.compile(pattern, re.ASCII) for kind, pattern in _PATTERNS.items()}
_CORE = "tag:yaml.org,2002:"
_TAGS = {"null": type(None), "bool": bool, "int": int, "float": float, "map": dict, "seq": list}


@dataclass(frozen=True)
class Node:
    """A value with its place: a scalar, a list of nodes or a dict of nodes. ``key`` is the place of its key."""

    value: Any
    mark: Mark
    key: Mark | None = None
    size: int = 1  # nodes, with those below
    height: int = 1

    @cached_property
    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain for key, child in self.value.items()}
        return [child.plain for child in self.value] if isinstance(self.value, list) else self.value

    def children(self) -> Iterator[tuple[str | int, Node]]:
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def get(self, path: KeyPath) -> Node:
        """The node at ``path``, or where the document ends on the way there."""
        below = dict(self.children())
        return below[path[0]].get(path[1:]) if path and path[0] in below else self

    def has(self, path: KeyPath) -> bool:
        below = dict(self.children())
        return not path or (path[0] in below and below[path[0]].has(path[1:]))


@dataclass(frozen=True)
class Document:
    """One YAML text. ``tree`` is its plain value; ``marks`` and ``keys`` the places of all values and keys."""

    root: Node

    @property
    def tree(self) -> dict[str, Any]:
        return self.root.plain

    @cached_property
    def marks(self) -> dict[KeyPath, Mark]:
        return {path: node.mark for path, node in _walk(self.root, ())}

    @cached_property
    def keys(self) -> dict[KeyPath, Mark]:
        return {path: node.key for path, node in _walk(self.root, ()) if node.key}

    def value_at(self, path: KeyPath) -> Mark:
        """Where the value at ``path`` is, or the nearest one that holds it."""
        return self.root.get(path).mark

    def key_at(self, path: KeyPath) -> Mark:
        """Where the last key of ``path`` is, or the nearest one that is written out."""
        node = self.root.get(path)
        return node.key or node.mark


def _walk(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    yield path, node
    for key, child in node.children():
        yield from _walk(child, (*path, key))


def read(path: Path) -> Document:
    """Read a sweep file; raises SpecError."""
    text = _decode(_content(path), str(path))
    root = parse(text, lambda at: Mark(str(path), at.line + 1, at.column + 1))
    if root.value is None:
        raise refusal(message(Mark(str(path), 1, 1), "empty file", expected="a sweep"))
    if not isinstance(root.value, dict):
        raise refusal(message(root.mark, "not a sweep", shown(root.plain), "a mapping"))
    return Document(root)


def _content(path: Path) -> bytes:
    mark = Mark(str(path))
    if path.is_dir():
        raise refusal(message(mark, "a folder", expected="a YAML file"))
    if not path.is_file():
        raise refusal(message(mark, "no such file"))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise refusal(message(mark, f"cannot be read ({error.strerror})")) from None
    if len(content) > MAX_BYTES:
        raise refusal(message(mark, "file too large", f"more than {MAX_BYTES:,} bytes", "a sweep"))
    return content


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise refusal(message(mark, "not UTF-8", f"byte 0x{content[error.start]:02x}")) from None


def parse(text: str, place: Callable[[yaml.Mark], Mark]) -> Node:
    """Parse one YAML document; ``place`` turns PyYAML's places into ours. No document at all is null."""
    return _Composer(text, place).document()


def write(tree: Any) -> str:
    """The YAML text that ``parse`` reads back as the same tree."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what either YAML 1.1 or 1.2 would not read as text; writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        odd = plain_type(value) is not str or not value.isprintable()
        return self.represent_scalar(f"{_CORE}str", value, style='"' if odd else None)


_Dumper.add_representer(str, _Dumper.text)


def plain_type(text: str) -> type:
    """What a plain (unquoted) scalar is: NoneType, bool, int, float or str."""
    return next((kind for kind, pattern in _SCALARS.items() if pattern.fullmatch(text)), str)


def read_scalar(text: str) -> Any:
    """The value of a plain scalar. Raises OverflowError for an int beyond 64 bits."""
    kind = plain_type(text)
    if kind is bool:
        return text[0] in "tT"
    if kind is int:
        return _int(text)
    if kind is float:
        return float(text.replace(".", "") if text.lower().endswith(("inf", "nan")) else text)
    return None if kind is type(None) else text


def _int(text: str) -> int:
    digits = text.lstrip("+-0")
    value = int(text, 0 if text[:2] in ("0x", "0o") else 10) if len(digits) <= INT_DIGITS + 2 else 2**64
    if not -(2**63) <= value < 2**63:
        raise OverflowError(text)
    return value


class _Composer:
    """Builds nodes from PyYAML's events. Its recursion ends at MAX_DEPTH."""

    def __init__(self, text: str, place: Callable[[yaml.Mark], Mark]) -> None:
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.text = text
        self.place = place
        self.anchors: dict[str, Node | None] = {}  # None: still open
        self.size = 0
        self.problems: list[Message] = []

    def document(self) -> Node:
        self.next()
        start = self.next()
        if isinstance(start, yaml.StreamEndEvent):
            return Node(None, self.place(start.start_mark))
        root = self.node(self.next(), 1)
        self.next()
        more = self.next()
        if not isinstance(more, yaml.StreamEndEvent):
            self.stop(more, "a second document", expected="one sweep per file")
        refuse(self.problems)
        return root

    def next(self) -> yaml.Event:
        try:
            return next(self.events)
        except yaml.YAMLError as error:
            mark, words = in_plain_words(error, self.text, self.place)
            raise refusal(*self.problems, message(mark, words)) from None

    def stop(self, event: yaml.Event, what: str, got: str = "", expected: str = "") -> NoReturn:
        self.complain(event, what, got, expected)
        raise refusal(*self.problems)

    def complain(self, event: yaml.Event, what: str, got: str = "", expected: str = "") -> None:
        self.problems.append(message(self.place(event.start_mark), what, got, expected))

    def node(self, event: yaml.Event, depth: int) -> Node:
        self.weigh(event, 1, depth)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = None
        node = self.fresh(event, depth)
        if anchor:
            self.anchors[anchor] = node
        return node

    def weigh(self, event: yaml.Event, size: int, depth: int) -> None:
        self.size += size
        if self.size > MAX_NODES:
            self.stop(event, "too many values", expected=f"at most {MAX_NODES:,}, with aliases written out")
        if depth > MAX_DEPTH:
            self.stop(event, "nested too deeply", expected=f"at most {MAX_DEPTH} levels")

    def alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        if event.anchor not in self.anchors:
            self.stop(event, "unknown alias", f"'*{event.anchor}'", "an anchor above it")
        node = self.anchors[event.anchor]
        if node is None:
            self.stop(event, "an alias inside of what it names", f"'*{event.anchor}'")
        self.weigh(event, node.size - 1, depth + node.height - 1)
        return replace(node, mark=self.place(event.start_mark))

    def fresh(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            self.check_tag(event, list)
            return self.sequence(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            self.check_tag(event, dict)
            return self.mapping(event, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return Node(self.scalar(event), self.place(event.start_mark))

    def sequence(self, event: yaml.Event, depth: int) -> Node:
        items = []
        while not isinstance(item := self.next(), yaml.SequenceEndEvent):
            items.append(self.node(item, depth + 1))
        return _branch(items, items, self.place(event.start_mark))

    def mapping(self, event: yaml.Event, depth: int) -> Node:
        items: dict[str, Node] = {}
        while not isinstance(start := self.next(), yaml.MappingEndEvent):
            key = self.node(start, depth + 1)
            child = replace(self.node(self.next(), depth + 1), key=key.mark)
            if self.good_key(start, key, items):
                items[key.value] = child
        return _branch(items, list(items.values()), self.place(event.start_mark))

    def good_key(self, event: yaml.Event, key: Node, items: dict[str, Node]) -> bool:
        if not isinstance(key.value, str):
            self.complain(event, "a key that is not text", shown(key.plain), "text; put it in quotes")
        elif key.value == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            self.complain(event, "merge keys are not read", "'<<'", "the keys themselves, or extends")
        elif key.value in items:
            first = items[key.value].key
            self.complain(event, f"duplicate key (the first is at line {first.line if first else 0})", shown(key.value))
        else:
            return True
        return False

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        if any(0xD800 <= ord(letter) < 0xE000 for letter in event.value):
            self.complain(event, "half a character", ascii(event.value), "text that is UTF-8")
        if event.tag in (f"{_CORE}str", "!") or (event.tag is None and not event.implicit[0]):
            return event.value
        try:
            value = read_scalar(event.value)
        except OverflowError:
            self.complain(event, "integer too large", shown(event.value), "64 bits at most")
            return 0
        return self.tagged(event, value)

    def tagged(self, event: yaml.ScalarEvent, value: Any) -> Any:
        value = float(value) if event.tag == f"{_CORE}float" and type(value) is int else value
        self.check_tag(event, type(value))
        return value

    def check_tag(self, event: Any, kind: type) -> None:
        """Only tags of the core schema may be written out, and only on what they fit."""
        if event.tag in (None, "!"):
            return
        name = event.tag.removeprefix(_CORE)
        if not event.tag.startswith(_CORE) or name not in {*_TAGS, "str"}:
            self.complain(event, "unknown tag", shown(event.tag), "no tag")
        elif _TAGS.get(name) is not kind:
            self.complain(event, "a tag that does not fit its value", f"'!!{name}'")


def _branch(value: Any, children: list[Node], mark: Mark) -> Node:
    size = 1 + sum(child.size for child in children)
    return Node(value, mark, size=size, height=1 + max((child.height for child in children), default=0))

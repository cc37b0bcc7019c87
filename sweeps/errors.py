"""How the errors of a sweep file read: one line each, with place, what, got, expected and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainables.config import nearest

MAX_SHOWN = 60


class SpecError(Exception):
    """Everything that is wrong with a sweep file, one line per problem."""

    @property
    def messages(self) -> list[str]:
        return str(self).split("\n")


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file, counted from 1. Line 0 is the file, or the option of the command line, as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = self.file if self.file.isprintable() else repr(self.file)
        return f"{file}:{self.line}:{self.column}" if self.line else file


@dataclass(frozen=True, order=True)
class Message:
    """One line about one place."""

    mark: Mark
    text: str

    def __str__(self) -> str:
        return "".join(letter if letter.isprintable() else " " for letter in f"{self.mark}: {self.text}")


def refusal(*messages: Message) -> SpecError:
    """The error of these messages, each once, in the order of the file."""
    return SpecError("\n".join(str(line) for line in sorted(set(messages))))


def refuse(messages: Iterable[Message]) -> None:
    """Raise SpecError if there are any messages."""
    if lines := list(messages):
        raise refusal(*lines)


def message(mark: Mark, what: str, got: str = "", expected: str = "", near: str = "") -> Message:
    """A message with the parts that are known."""
    details = [f"got {got}"] if got else []
    details += [f"expected {expected}"] if expected else []
    text = what + (f": {', '.join(details)}" if details else "")
    return Message(mark, text + (f"; did you mean {near!r}?" if near else ""))


def unknown(mark: Mark, what: str, got: Any, known: Iterable[str]) -> Message:
    """The message for a name that is none of ``known``; lists them if none is near."""
    known = list(known)
    near = nearest(got, known) if isinstance(got, str) else ""
    return message(mark, what, shown(got), "" if near else one_of(known), near)


def one_of(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return "one of " + ", ".join(names[:20]) + more if names else "nothing here"


def shown(value: Any) -> str:
    """A value as it would stand in YAML, cut to a length that fits a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping | list | tuple):
        text = _flow(value)
        kind = "a mapping" if isinstance(value, Mapping) else "a list"
        return text if len(text) <= MAX_SHOWN else kind
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _flow(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {shown(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(map(shown, value)) + "]"

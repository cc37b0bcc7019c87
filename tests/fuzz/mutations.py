"""Makes bad inputs out of good ones: bytes that are torn, swapped and repeated, and trees with odd things in them.

Everything is drawn from the random generator that is handed in, so that an input can be made again from its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.0, -0.0, 1e308, 1e-320),
    *("", " ", "\0", "NaN", "Infinity", "../../x", "/etc/passwd", "C:\\con", "a" * 10_000, "\ud7ff", "\u202e", "🙂"),
    *("!!python/object/apply:os.system", "{{ 7*7 }}", "<script>", "%s%n", "1e999", "0x", "8/0", "__class__", "lr\n"),
    *([], {}, [[]], [None], {"": None}, {"name": []}, [{}] * 3, {"trial": {"trial": {}}}),
)
TOKENS: tuple[bytes, ...] = (
    *(b"{", b"}", b"[", b"]", b"&a ", b"*a ", b"!!", b"!!python/name:os.system ", b"<<: ", b"? ", b": ", b"- ", b"|\n"),
    *(b"---\n", b"...\n", b"%YAML 9.9\n", b"\t", b"\r", b"\n", b"\0", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80", b"#"),
    *(b"1e999", b".nan", b".inf", b"0o777", b"99999999999999999999", b'"', b"'", b"\\", b"\\u0000", b'"v":', b"null"),
)


def torn(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to a few changes of the bytes, whatever they mean."""
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        data = rng.choice(_TEARS)(rng, data, others)
    return data


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 16, 64, 512)))


def _flip(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at, _end = _span(rng, data)
    return data[:at] + bytes(b ^ (1 << rng.randrange(8)) for b in data[at : at + 1]) + data[at + 1 :]


def _cut(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _truncate(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _repeat(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _insert(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at, _end = _span(rng, data)
    return data[:at] + rng.choice(TOKENS) * rng.choice((1, 1, 3, 100)) + data[at:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(rng, data)
    other = rng.choice(others)
    from_, to = _span(rng, other)
    return data[:start] + other[from_:to] + data[end:]


_TEARS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip,
    _cut,
    _truncate,
    _repeat,
    _insert,
    _splice,
)


def odd_tree(rng: Random, tree: Any) -> Any:
    """The tree with one to a few values replaced, removed, renamed or put somewhere else."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(rng, tree)
    return tree


def _change(rng: Random, tree: Any) -> None:
    places = list(_places(tree))
    if not places:
        return
    holder, key = rng.choice(places)
    match rng.randrange(5):
        case 0 | 1:
            holder[key] = rng.choice(ODD)
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[rng.choice(("", "naem", "a.b.c", "x" * 300, key[::-1], "trial"))] = holder.pop(key)
        case _:
            other, there = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[there])) if _holds(other, there) else None


def _places(tree: Any) -> list[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [(tree, key) for key in keys] + [place for key in keys for place in _places(tree[key])]


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def odd_lines(rng: Random, lines: Sequence[bytes]) -> bytes:
    """A file of JSON lines with some of its records changed, lost, doubled or in another order."""
    found = list(lines)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not found:
            break
        at = rng.randrange(len(found))
        match rng.randrange(6):
            case 0:
                del found[at]
            case 1:
                found.insert(rng.randint(0, len(found)), found[at])
            case 2:
                other = rng.randrange(len(found))
                found[at], found[other] = found[other], found[at]
            case _:
                found[at] = _odd_line(rng, found[at])
    return b"\n".join(found) + b"\n"


def _odd_line(rng: Random, line: bytes) -> bytes:
    try:
        return json.dumps(odd_tree(rng, json.loads(line))).encode("utf-8", "surrogatepass")
    except ValueError:
        return line

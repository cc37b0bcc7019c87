"""Lays one part of a sweep over another: ``extends``, ``scales`` and ``--set`` all mean the same by it.

Mappings are merged key by key, anything else is replaced, and a null removes the key that it is laid over.
"""

from __future__ import annotations

from sweeps.document import KeyPath, Node
from sweeps.errors import message, refusal, shown, unknown

DOTTED = ("factors", "nuisance", "constraints")  # sections whose keys contain dots
_RANGE = frozenset({"low", "high", "log", "step", "levels"})
_RIVALS = {
    "choices": _RANGE,
    **dict.fromkeys(_RANGE, frozenset({"choices"})),
    "linear": frozenset({"geometric"}),
    "geometric": frozenset({"linear"}),
    "maximize": frozenset({"minimize"}),
    "minimize": frozenset({"maximize"}),
}


def merge(base: Node, over: Node, path: KeyPath = ()) -> Node:
    """``base`` with ``over`` laid on top; ``path`` is where both are in the sweep."""
    if path[:1] == ("fixed",) and len(path) > 1 and isinstance(over.value, dict):
        base = as_component(base)
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    kept = {key: child for key, child in base.value.items() if key not in _rivals(over.value, path)}
    for key, child in over.value.items():
        if key not in kept:
            kept[key] = child
        elif child.value is None:
            del kept[key]
        else:
            kept[key] = merge(kept[key], child, (*path, key))
    return Node(kept, over.mark, over.key)


def _rivals(keys: dict[str, Node], path: KeyPath) -> set[str]:
    """Keys that cannot stand beside ``keys``: a choice laid over a range replaces it."""
    if path[:1] not in (("factors",), ("nuisance",), ("objective",)):
        return set()
    return {rival for key, child in keys.items() if child.value is not None for rival in _RIVALS.get(key, ())}


def as_component(node: Node) -> Node:
    """A component that is given by its name alone, as a mapping."""
    return Node({"name": node}, node.mark, node.key) if isinstance(node.value, str) else node


def put(root: Node, dotted: str, value: Node) -> Node:
    """``root`` with ``value`` merged in at a dotted key such as ``nuisance.optimizer.lr.low``."""
    path = _split(root, dotted, value)
    for i in range(len(path) - 1, -1, -1):
        above = root.get(path[:i]) if root.has(path[:i]) else value
        value = Node({path[i]: value}, above.mark, above.key)
    return merge(root, value)


def _split(root: Node, dotted: str, value: Node) -> tuple[str, ...]:
    """The way of keys; in a section whose keys contain dots the longest known key wins."""
    section, _, rest = dotted.partition(".")
    if section not in DOTTED or not rest:
        return tuple(dotted.split("."))
    known = [str(key) for key, _ in root.value.get(section, Node({}, root.mark)).children()]
    key = max((k for k in known if rest == k or rest.startswith(f"{k}.")), key=len, default="")
    if not key:
        _refuse_new(root, section, rest, value)
        return section, rest
    return (section, key, *rest[len(key) + 1 :].split(".")) if rest != key else (section, key)


def _refuse_new(root: Node, section: str, rest: str, value: Node) -> None:
    """A new key of these sections is a mapping or a list; a scalar was meant for a key that is not there."""
    if isinstance(value.value, dict | list):
        return
    there = root.value.get(section, Node({}, root.mark))
    known = [name for key, child in there.children() for name in (key, *(f"{key}.{k}" for k, _ in child.children()))]
    names = [f"{section}.{name}" for name in known]
    raise refusal(unknown(value.key or value.mark, "unknown key", f"{section}.{rest}", names))


def expand(root: Node) -> Node:
    """``root`` with the dotted keys of ``fixed`` written out as nested mappings."""
    fixed = root.value.get("fixed")
    return Node({**root.value, "fixed": _nested(fixed)}, root.mark, root.key) if fixed else root


def _nested(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    items: dict[str, Node] = {}
    for dotted, child in node.value.items():
        first, *rest = dotted.split(".")
        below = _nested(child)
        for part in reversed(rest):
            below = Node({part: below}, below.mark, below.key)
        items[first] = _joined(items[first], below, dotted) if first in items else below
    return Node(items, node.mark, node.key)


def _joined(one: Node, other: Node, dotted: str) -> Node:
    """Both mappings in one; refuses a leaf that both set."""
    if isinstance(one.value, dict) != isinstance(other.value, dict):
        one, other = as_component(one), as_component(other)
    if not (isinstance(one.value, dict) and isinstance(other.value, dict)):
        first = one.key or one.mark
        raise refusal(message(other.key or other.mark, f"set twice (the first is at line {first.line})", shown(dotted)))
    items = dict(one.value)
    for key, child in other.value.items():
        items[key] = _joined(items[key], child, f"{dotted}.{key}") if key in items else child
    return Node(items, one.mark, one.key)

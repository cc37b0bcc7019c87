"""From a file or a name to one typed sweep: inheritance, scale and command line applied, every value with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweeps.document import Document, Node, parse, read, write
from sweeps.errors import Mark, Message, message, refusal, shown, unknown
from sweeps.merge import expand, merge, put
from sweeps.problems import problems
from sweeps.spec import Sweep
from trainables.config import nearest

LIBRARY = Path(__file__).parent / "library"
MAX_EXTENDS = 10


@dataclass(frozen=True)
class Resolved:
    """A sweep as it will run. ``document`` has no ``extends`` and no ``scales`` any more."""

    sweep: Sweep
    document: Document
    path: Path
    scale: str | None = None
    scales: tuple[str, ...] = ()  # that the file offers

    @property
    def tree(self) -> dict[str, Any]:
        return self.document.tree

    @cached_property
    def search_path(self) -> Path:
        """The folder that ``my_file.py`` or ``my_package`` is in: that of the sweep, or the current one."""
        target = self.sweep.trainable.partition(":")[0]
        name = target if target.endswith(".py") else target.partition(".")[0]
        beside, here = self.path.resolve().parent, Path.cwd()
        there = [folder for folder in (beside, here) if (folder / name).exists() or (folder / f"{name}.py").exists()]
        return there[0] if there else beside


def load(path_or_name: str | Path, scale: str | None = None, sets: Iterable[str] = ()) -> Resolved:
    """Read a sweep, by path or by the name of a shipped one.

    Args:
        path_or_name: ``my.yaml``, ``quickstart`` or ``capacity/emc``.
        scale: one of the ``scales`` of the file.
        sets: ``key=value`` with dotted keys; applied last.

    Raises:
        SpecError: with every problem that can be seen without the trainable.
    """
    path = find(path_or_name)
    root = _inherited(path, ())
    if scale is not None:
        root = _scaled(root, scale)
    for text in sets:
        root = _set(root, text)
    return _typed(root, path, scale)


def dump(resolved: Resolved) -> str:
    """The text of ``sweep.lock.yaml``, which loads as the same sweep."""
    return write(resolved.tree)


# --- names -----------------------------------------------------------------------------------------------------------


def library() -> dict[str, Path]:
    """The shipped sweeps by name, such as ``capacity/emc``."""
    return {path.relative_to(LIBRARY).with_suffix("").as_posix(): path for path in sorted(LIBRARY.rglob("*.yaml"))}


def find(path_or_name: str | Path) -> Path:
    """The file that is meant: a local one, else a shipped one, for which the last part of its name may be enough."""
    path, name = Path(path_or_name), str(path_or_name)
    if path.is_file():
        return path
    shipped = library()
    if matches := [name] if name in shipped else [known for known in shipped if known.rsplit("/", 1)[-1] == name]:
        if len(matches) > 1:
            raise refusal(message(Mark(name), "several shipped sweeps have this name", expected=" or ".join(matches)))
        return shipped[matches[0]]
    if not path.exists():
        raise refusal(_no_such(Mark(name), path, shipped))
    return path


def _no_such(mark: Mark, path: Path, shipped: Iterable[str], got: str = "") -> Message:
    beside = [str(path.parent / other.name) for other in path.parent.glob("*.yaml")]
    near = nearest(str(path), [*shipped, *beside]) or nearest(path.name, [name.rsplit("/", 1)[-1] for name in shipped])
    return message(mark, "no such file, and no shipped sweep of this name", got, near=near)


# --- extends, scales, --set ------------------------------------------------------------------------------------------


def _inherited(path: Path, chain: tuple[Path, ...]) -> Node:
    """The document at ``path`` laid over the one that it extends; ``chain`` are the files that extend it."""
    root = expand(read(path).root)
    base = root.value.get("extends")
    if base is None or base.value is None:
        return _without(root, "extends")
    chain = (*chain, path.resolve())
    parent = _parent(path, base)
    if parent.resolve() in chain:
        raise refusal(message(base.mark, "extends goes round in a circle", shown(base.value)))
    if len(chain) >= MAX_EXTENDS:
        raise refusal(message(base.mark, "too many files extend each other", expected=f"at most {MAX_EXTENDS}"))
    return merge(_inherited(parent, chain), _without(root, "extends"))


def _parent(path: Path, base: Node) -> Path:
    if not isinstance(base.value, str):
        raise refusal(message(base.mark, "wrong type", shown(base.plain), "the path of a sweep file"))
    beside = path.parent / base.value
    if beside.is_file():
        return beside
    shipped = library()
    if base.value not in shipped:
        raise refusal(_no_such(base.mark, beside, shipped, shown(base.value)))
    return shipped[base.value]


def _without(root: Node, *keys: str) -> Node:
    return replace(root, value={key: child for key, child in root.value.items() if key not in keys})


def _scaled(root: Node, scale: str) -> Node:
    scales = root.value.get("scales", Node({}, root.mark))
    offered = {str(name): child for name, child in scales.children()}
    if scale not in offered:
        raise refusal(unknown(scales.key or scales.mark, "unknown scale", scale, offered))
    if not isinstance(offered[scale].value, dict):
        raise refusal(message(offered[scale].mark, "wrong type", shown(offered[scale].plain), "a mapping"))
    return _overridden(root, offered[scale].value)


def _overridden(root: Node, overrides: dict[str, Node]) -> Node:
    for dotted, value in overrides.items():
        if dotted.partition(".")[0] in ("extends", "scales"):
            raise refusal(message(value.key or value.mark, "cannot be overridden", shown(dotted)))
        root = put(root, dotted, value)
    return root


def _set(root: Node, text: str) -> Node:
    key, equals, value = text.partition("=")
    mark = Mark(f"--set {key.strip()}")
    if not equals or not key.strip():
        raise refusal(message(Mark("--set"), "not an override", shown(text), "key=value"))
    return _overridden(root, {key.strip(): replace(parse(value, lambda _: mark), key=mark)})


# --- types -----------------------------------------------------------------------------------------------------------


def _typed(root: Node, path: Path, scale: str | None) -> Resolved:
    whole = _validated(Document(root))
    document = Document(_without(root, "scales"))
    return Resolved(_validated(document), document, path, scale, tuple(whole.scales))


def _validated(document: Document) -> Sweep:
    try:
        return Sweep.model_validate(document.tree)
    except ValidationError as error:
        raise refusal(*problems(document, error)) from None

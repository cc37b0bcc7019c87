"""Which code a sweep runs: copied into the run folder, and compared when the run is resumed."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = "code"


def modules_of(config: Any) -> set[ModuleType]:
    """The modules of every component that a typed config picks."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return set()
    inner = (modules_of(getattr(config, f.name)) for f in dataclasses.fields(config))
    return {sys.modules[type(config).__module__]}.union(*inner)


def sources(roots: Iterable[ModuleType]) -> dict[str, Path]:
    """Name -> file, of these modules and of all that they import from their own packages or folders."""
    found: dict[str, Path] = {}
    todo = [(_name(module), Path(module.__file__)) for module in roots if module.__file__]
    tops = {_top(name, path) for name, path in todo}
    while todo:
        name, path = todo.pop()
        if name not in found:
            found[name] = path
            todo += [(other, file) for other, file in _imports(path) if _top(other, file) in tops]
    return found


def _name(module: ModuleType) -> str:
    """A file that was loaded by its path has a name that changes with its content; it goes by its stem here."""
    name = module.__name__
    return Path(str(module.__file__)).stem if name.startswith("assay_file_") else name


def _top(name: str, path: Path) -> Path:
    """The folder in which the top-level module of this name lies."""
    return path.resolve().parents[name.count(".") + (path.name == "__init__.py")]


def _imports(path: Path) -> Iterator[tuple[str, Path]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if file := _file(name, path.parent):
                yield name, file


def _file(name: str, beside: Path) -> Path | None:
    neighbour = beside / f"{name}.py"
    if neighbour.exists():
        return neighbour
    module = sys.modules.get(name)  # whatever the trainable needs has been imported by now, or is imported on use
    origin = getattr(module, "__file__", None) if module else _spec_origin(name)
    return Path(origin) if origin and origin.endswith(".py") else None


def _spec_origin(name: str) -> str | None:
    """Where a module would come from. It and the packages around it are not imported, which may take seconds."""
    top, *parts = name.split(".")
    spec, at = None, getattr(sys.modules.get(top), "__path__", None)
    for number in range(1, len(parts) + 1):
        full = ".".join([top, *parts[:number]])
        if at is None or not (spec := PathFinder.find_spec(full, at)):
            return None
        at = spec.submodule_search_locations
    return spec.origin if spec else None


def save(run: Path, found: Mapping[str, Path]) -> str:
    """Copy the sources into the run folder and return their digest. What is there already stays as it is.

    Neither a kill nor a full disk leaves a part of the first copy behind, which would look like a change of the code.
    """
    folder, draft = run / FOLDER, run / f".{FOLDER}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for name, path in found.items():
        if not (folder / f"{name}.py").exists():
            (draft / f"{name}.py").write_bytes(path.read_bytes())
    if not folder.exists():
        draft.rename(folder)
    else:
        for copy in draft.iterdir():
            copy.replace(folder / copy.name)
        draft.rmdir()
    return digest(found)


def digest(found: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents."""
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(f"{name}\0".encode() + found[name].read_bytes())
    return total.hexdigest()


def diff(run: Path, found: Mapping[str, Path]) -> list[str]:
    """Unified diff from the code in the run folder to today's; empty if they are the same. New modules count."""
    lines: list[str] = []
    for name, path in sorted(found.items()):
        copy = run / FOLDER / f"{name}.py"
        if copy.exists():
            old, new = copy.read_text(encoding="utf-8"), path.read_text(encoding="utf-8")
            lines += difflib.unified_diff(old.splitlines(), new.splitlines(), f"run/{name}", f"now/{name}", lineterm="")
    return lines

"""Finds a trainable by its reference.

``supervised.classify`` is a shipped one, ``my_package.my_module`` or ``my_package.my_module:train`` one that can be
imported, ``my_file.py`` or ``my_file.py:train`` one in a file. Only the code that is named gets loaded, and not
everything may be named (``origin.py``).
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from trainables import config as typed
from trainables import origin
from trainables.api import Reports, Trial
from trainables.config import Problem, nearest
from trainables.explain import Field, fields

ROOT = Path(__file__).parent
PARTS = ("data", "models", "training", "attacks", "defences", "probes")  # folders that hold no trainables
DEFAULTS = ("run", "run_one")  # of one module the first of them
_DEFINED = re.compile(r"^(def (run|run_one)\b|(run|run_one)\s*=)", re.MULTILINE)


class TrainableError(Exception):
    """A trainable that cannot be found or loaded; one line."""


@dataclass(frozen=True)
class Trainable:
    """The code that a trial executes, with what its module says about it."""

    reference: str
    module: ModuleType
    function: Callable[..., Any]
    takes_trial: bool
    stacks: bool = False
    """Whether it trains many trials at once, as a cohort."""
    config: type | None = None
    metrics: Mapping[str, str] | None = None
    steps: Callable[[Any], int] | None = None
    not_reproducible: tuple[str, ...] = ()
    """Metrics that differ between two runs of the same trial, such as speeds."""

    @property
    def whose(self) -> str:
        """The code that runs, and where it comes from."""
        return origin.whose(self.reference, self.module)

    def validate(self, values: Mapping[str, Any]) -> list[Problem]:
        """Everything that is wrong with ``values`` as its config. Without a ``Config`` nothing is."""
        return typed.check(self.config, values) if self.config else []

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` with every default filled in. Raises ConfigError."""
        return typed.canonical(self.build(values)) if self.config else dict(values)

    def build(self, values: Mapping[str, Any]) -> Any:
        """The config object. Raises ConfigError."""
        return typed.build(self.config, values) if self.config else dict(values)

    def shape(self, values: Mapping[str, Any]) -> str:
        """What the configs of trials that can be stacked have in common; empty for a trial that runs alone."""
        if not self.stacks:
            return ""
        common = typed.without_members(self.build(values)) if self.config else {}
        return hashlib.sha256(json.dumps([self.reference, common]).encode()).hexdigest()[:16]

    def run(self, configs: Sequence[Any], trials: Sequence[Trial]) -> Generator[Reports, None, None]:
        """The reports of trials with these configs; of one alone also if it is a plain function that returns them."""
        if self.stacks:
            yield from _checked(self.reference, self.function(configs, trials))
            return
        assert len(configs) == 1, "several trials of a trainable that does not stack them"
        result = self.function(configs[0], trials[0]) if self.takes_trial else self.function(configs[0])
        if isinstance(result, Mapping):
            yield {0: result}
        else:
            yield from ({0: report} for report in _checked(self.reference, result, "a mapping of metrics or "))


def _checked(reference: str, result: Any, otherwise: str = "") -> Iterator[Any]:
    if isinstance(result, Iterator):
        return result
    raise TrainableError(f"{reference}: returned {type(result).__name__}, expected {otherwise}a generator")


def names() -> list[str]:
    """The shipped trainables. Reads their text and imports nothing."""
    files = (path for path in ROOT.glob("*/*.py") if path.parent.name not in PARTS)
    return sorted(f"{path.parent.name}.{path.stem}" for path in files if _DEFINED.search(path.read_text("utf-8")))


def headline(name: str) -> str:
    """The first line of what the module of a shipped trainable says about itself. Imports nothing."""
    tree = ast.parse(ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text("utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def find(reference: str, search_path: str | Path = ".") -> Trainable:
    """Load what ``reference`` names; files and modules are looked for in ``search_path`` first.

    Raises:
        TrainableError: if there is no such thing, or it cannot be loaded or called.
    """
    target, _, name = reference.partition(":")
    folder = Path(search_path).resolve()
    module = _module(target, folder)
    function = _function(reference, module, name or _default(module))
    if why := origin.unfit(function, module, folder):
        raise TrainableError(f"{reference}: cannot be a trainable: {why}")
    count = _count_arguments(reference, function)
    return Trainable(
        reference=reference,
        module=module,
        function=function,
        takes_trial=count > 1,
        stacks=_stacks(function),
        config=_config(module, function),
        metrics=getattr(module, "METRICS", None),
        steps=getattr(module, "steps", None),
        not_reproducible=tuple(getattr(module, "NOT_REPRODUCIBLE", ())),
    )


def explain(reference: str, search_path: str | Path = ".") -> list[Field]:
    """What may be set in the config of a trainable; nothing if it takes plain mappings."""
    config = find(reference, search_path).config
    return fields(config) if config else []


# --- modules ---------------------------------------------------------------------------------------------------------


def _module(target: str, folder: Path) -> ModuleType:
    if target.endswith(".py"):
        return _from_file(folder / target, target, folder)
    if target in names():
        return _imported(f"trainables.{target}", target)
    if not all(part.isidentifier() for part in target.split(".")):
        raise TrainableError(_unknown(target, folder))
    if why := origin.forbidden(target):
        raise TrainableError(why)
    _make_importable(folder)
    return _imported(target, target, lambda: _unknown(target, folder))


def _make_importable(folder: Path) -> None:
    """At the end of the path, so that no file of the user hides a module of ours or of the standard library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _imported(name: str, target: str, missing: Callable[[], str] | None = None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if missing and error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise TrainableError(missing()) from None
        raise TrainableError(_why(target, error)) from error
    except (Exception, SystemExit) as error:
        raise TrainableError(_why(target, error)) from error


def _from_file(path: Path, target: str, folder: Path) -> ModuleType:
    """Load a file under a name of its own, which changes with its content."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, ValueError):  # the latter for a name with a zero in it
        raise TrainableError(_unknown(target, folder)) from None
    except OSError as error:  # it is a folder, its name is too long, or it may not be read
        raise TrainableError(f"{target} cannot be loaded: {error.strerror}") from None
    digest = hashlib.sha256(f"{path}\n".encode() + text).hexdigest()[:12]
    name = f"assay_file_{digest}_{re.sub(r'[^a-zA-Z0-9]', '_', path.stem)}"
    if name in sys.modules:
        return sys.modules[name]
    _make_importable(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise TrainableError(_why(target, error)) from error
    return module


def _unknown(target: str, folder: Path) -> str:
    local = [path.name for path in folder.glob("*.py")] if folder.is_dir() else []
    near = nearest(target, [*names(), *local])
    kind = "no such file" if target.endswith(".py") else "no such trainable"
    hint = f"; did you mean {near!r}?" if near else f"; shipped are {', '.join(names())}; files end in .py"
    return f"{kind}: got {target!r}, looked in {folder}{hint}"


def _why(target: str, error: BaseException) -> str:
    """Why a module cannot be imported, with the line that raised, in one line."""
    if isinstance(error, SyntaxError):
        place = f"{Path(error.filename or target).name}:{error.lineno}"
        return f"{target} cannot be loaded: {place}: syntax error: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    last = next((f for f in reversed(frames) if f.filename != __file__), None)
    place = f"{Path(last.filename).name}:{last.lineno}: " if last else ""
    return f"{target} cannot be loaded: {place}{type(error).__name__}: {' '.join(str(error).split())}"


# --- functions -------------------------------------------------------------------------------------------------------


def _function(reference: str, module: ModuleType, name: str) -> Callable[..., Any]:
    if not hasattr(module, name):
        known = [n for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__]
        near = nearest(name, known)
        hint = f"; did you mean {near!r}?" if near else f"; it has {', '.join(known) or 'none'}"
        raise TrainableError(f"{reference}: no such function: got {name!r}{hint}")
    function = getattr(module, name)
    if not callable(function):
        raise TrainableError(f"{reference}: not a function: got {type(function).__name__} {name!r}")
    return function


def _default(module: ModuleType) -> str:
    return next((name for name in DEFAULTS if hasattr(module, name)), "run_one")


def _stacks(function: Callable[..., Any]) -> bool:
    """Whether it takes sequences of configs and trials."""
    return list(inspect.signature(function).parameters) == ["configs", "trials"]


def _count_arguments(reference: str, function: Callable[..., Any]) -> int:
    parameters = inspect.signature(function).parameters.values()
    count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
    optional = any(p.name == "trial" for p in parameters)
    needed = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    if count not in (1, 2) or needed:
        text = f"({', '.join(p.name for p in parameters)})"
        expected = "(config) or (config, trial), or for cohorts (configs, trials)"
        raise TrainableError(f"{reference}: wrong arguments: got {text}, expected {expected}")
    return max(count, 2 if optional else 1)


def _config(module: ModuleType, function: Callable[..., Any]) -> type | None:
    """The dataclass that the first argument is annotated with, or a sequence of it; else the module's ``Config``."""
    first = next(iter(inspect.signature(function).parameters.values()))
    found = getattr(module, "Config", None)
    if first.annotation is not first.empty:
        with suppress(Exception):  # names that are only there for type checkers
            hint = get_type_hints(function)[first.name]
            found = hint if isinstance(hint, type) else next(iter(get_args(hint)), None)
    return found if _is_config(found) else None


def _is_config(found: Any) -> bool:
    return isinstance(found, type) and dataclasses.is_dataclass(found)

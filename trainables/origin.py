"""Whose code a sweep runs, and what a sweep may not name.

A sweep file may come from a stranger. It can name any code that Python finds here, so that not everything is taken:
called with a config, ``subprocess:Popen`` would run its keys as a command.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

_SHIPPED = Path(__file__).resolve().parent
_FIRST = ("config", "configs")


def forbidden(target: str) -> str:
    """Why a module of this name is not even imported; empty if it may be."""
    first, *rest = target.split(".")
    if first in sys.stdlib_module_names:
        return f"the standard library holds no trainables: got {target!r}"
    if any(part.startswith("__") for part in (first, *rest)):
        return f"not a module of trainables: got {target!r}"
    return ""


def unfit(function: Callable[..., Any], module: ModuleType, folder: Path) -> str:
    """Why a function cannot be a trainable, whatever its arguments do; empty if it can.

    Code in the folder of the sweep is taken as it is, if it is not just a name for something of the standard library.
    What is installed elsewhere was written as a trainable exactly if its first argument is called so.
    """
    home = str(getattr(_plain(function), "__module__", "") or "")
    if home.partition(".")[0] in sys.stdlib_module_names:
        return f"it is {getattr(function, '__name__', type(function).__name__)!r} of {home}, no code of its own"
    if _is_shipped(module) or _is_inside(module, folder) or _first_argument(function) in _FIRST:
        return ""
    name = _first_argument(function)
    return f"it is outside of {folder}, and not written as a trainable: its first argument is {name!r}, not 'config'"


def whose(reference: str, module: ModuleType) -> str:
    """The code that a reference names, for somebody who wonders what is about to run."""
    if _is_shipped(module):
        return f"{reference}, shipped with Assay"
    return f"{reference}, in {_file(module) or 'memory'}"


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _first_argument(function: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(function).parameters), "")


def _file(module: ModuleType) -> Path | None:
    return Path(file).resolve() if (file := getattr(module, "__file__", None)) else None


def _is_shipped(module: ModuleType) -> bool:
    return _is_inside(module, _SHIPPED)


def _is_inside(module: ModuleType, folder: Path) -> bool:
    file = _file(module)
    return bool(file and file.is_relative_to(folder.resolve()))

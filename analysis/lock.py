"""The lock file of a run, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from analysis.records import LOCK_FILE, LedgerError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times quicker, where there is a C compiler


def read_lock(run: Path) -> dict[str, Any]:
    """What the lock file of a run says; nothing if there is none. Raises LedgerError if it is no mapping in YAML."""
    path = run / LOCK_FILE
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
        lock = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise LedgerError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(lock, dict):
        raise LedgerError(f"{path}: not a sweep: a {type(lock).__name__}")
    return lock

"""What a run ran on: versions, commit, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("assay", "ray", "optuna", "torch", "numpy", "scikit-learn", "pandas", "scipy")


def environment(folder: Path) -> dict[str, Any]:
    """``folder``: where the sweep's own code lies, for its commit."""
    return {
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "git": _git(folder),
        "system": platform.platform(),
        "hostname": platform.node(),
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
        "command": " ".join(["assay", *sys.argv[1:]]),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _run(*command: str, cwd: Path | None = None) -> str:
    """What the command prints, or nothing if it cannot be run."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""


def _git(folder: Path) -> dict[str, Any]:
    commit = _run("git", "rev-parse", "HEAD", cwd=folder)
    return {"commit": commit, "dirty": bool(_run("git", "status", "--porcelain", cwd=folder))} if commit else {}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return 0.0


def _gpus() -> list[str]:
    return _run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()

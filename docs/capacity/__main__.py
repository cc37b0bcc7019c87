"""Draws one figure per system of the capacity library: python -m docs.capacity RUNS [SYSTEM...].

RUNS is the folder that `assay run` writes to; the latest run of each sweep is drawn. Without names, all systems are.
The drawings lie beside this file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from analysis.figures.look import save, settings
from analysis.frames import Run, load
from analysis.records import LOCK_FILE

SYSTEMS = ("emc", "start", "regularisers", "double_descent", "phenomena", "transformers", "plasticity")


def main(runs: Path, *systems: str) -> None:
    def named(sweep: str) -> Run:
        found = [lock.parent for lock in (runs / sweep).glob(f"*/{LOCK_FILE}")]
        if not found:
            raise LookupError(f"{runs}: no run of {sweep}")
        return load(max(found))

    for system in systems or SYSTEMS:
        with settings():
            save(import_module(f"docs.capacity.{system}").draw(named), Path(__file__).with_name(f"{system}.svg"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

"""The ledger of a run on a store that cannot append: numbered parts, each of them whole or not there at all.

A part holds what the run has decided and reported since the one before: a line that says how it is divided, then lines
of ``decisions.jsonl``, then lines of reports. It is a consistent cut: every report belongs to an attempt that is known
by then, and every decision rests on reports that are there. So is any beginning of the sequence of parts.

``part-000012.jsonl`` is the twelfth; ``part-000001-000050.jsonl`` takes the place of the first fifty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.records import DECISIONS, LedgerError

PATTERN = "ledger/part-*.jsonl"
STORED_REPORTS = "ledger/reports-0-stored.jsonl"  # what was brought down; sorts before the segments of processes
_NAME = re.compile(r"part-(\d{6,})(?:-(\d{6,}))?\.jsonl")


@dataclass(frozen=True)
class Part:
    """Lines of decisions and of reports."""

    decisions: bytes = b""
    reports: bytes = b""

    def encode(self) -> bytes:
        header = {"v": 1, "kind": "part", "decisions": len(self.decisions), "reports": len(self.reports)}
        return json.dumps(header).encode() + b"\n" + self.decisions + self.reports


def decode(data: bytes, name: str) -> Part:
    """Raises LedgerError, which names the part."""
    head, _, body = data.partition(b"\n")
    try:
        header = json.loads(head)
        size, rest = int(header["decisions"]), int(header["reports"])
    except (ValueError, KeyError, TypeError):
        raise LedgerError(f"{name}:1: damaged record: not the beginning of a part") from None
    if size < 0 or len(body) != size + rest:
        raise LedgerError(f"{name}: damaged: {len(body)} bytes, expected {size + rest}")
    return Part(body[:size], body[size:])


def name_of(first: int, last: int | None = None) -> str:
    return f"part-{first:06d}.jsonl" if last is None else f"part-{first:06d}-{last:06d}.jsonl"


def span(name: str) -> tuple[int, int]:
    """The first and the last number that a part stands for; (0, 0) if it is none."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return (int(found[1]), int(found[2] or found[1])) if found else (0, 0)


def in_order(names: Iterable[str]) -> list[str]:
    """Names of parts, without those that another one has taken the place of."""
    found: list[str] = []
    for name in sorted((n for n in names if span(n)[0]), key=lambda n: (span(n)[0], -span(n)[1])):
        if not found or span(name)[1] > span(found[-1])[1]:
            found.append(name)
    return found


def joined(parts: Sequence[Part]) -> Part:
    return Part(b"".join(part.decisions for part in parts), b"".join(part.reports for part in parts))


def unpack(part: Part, run: Path) -> None:
    """Write what all parts together hold as the ledger of a run folder."""
    (run / "ledger").mkdir(parents=True, exist_ok=True)
    for name, data in ((DECISIONS, part.decisions), (STORED_REPORTS, part.reports)):
        draft = run / f"{name}.tmp"
        draft.write_bytes(data)
        draft.replace(run / name)

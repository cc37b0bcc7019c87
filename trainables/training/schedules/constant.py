"""The same learning rate throughout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    def factor(self, step: int, total: int) -> float:  # noqa: ARG002
        return 1.0

"""What stands in the way of a run before any trial has started."""

from __future__ import annotations


class NotReady(Exception):  # noqa: N818 - it is no fault of a program
    """Why nothing can start; one line."""

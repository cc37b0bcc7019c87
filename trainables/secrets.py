"""Keeps secrets out of what is recorded: traces quote whatever a failing call was given."""

from __future__ import annotations

import os

NAMES = "ASSAY_SECRETS"  # the variables of this process that hold secrets, separated by commas
_SHORTEST = 4  # a shorter value is no secret, and striking it out would garble the text


def strike_out(text: str) -> str:
    """``text`` with the names of secrets in the place of their values."""
    values = {os.environ.get(name, ""): name for name in os.environ.get(NAMES, "").split(",")}
    for value in sorted(values, key=len, reverse=True):  # one may be part of another
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"<{values[value]}>")
    return text

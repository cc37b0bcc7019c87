"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
import re
from typing import Any

DASH, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_MOST = 6  # decimals


def plain(value: Any, width: int = 0) -> str:
    """One line of printable text, at most ``width`` characters (0: any number), so that any name is harmless."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = re.sub(r"\s+", " ", text).strip()
    return text if not width or len(text) <= width else text[: width - 1].rstrip() + "…"


def number(value: float, digits: int = 4) -> str:
    """Significant digits, plain where that is short."""
    if math.isnan(value):
        return DASH
    return f"{value:.{digits}g}".replace("-", _MINUS).replace("inf", "∞")


def param(value: Any) -> str:
    """The value of a hyperparameter."""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else plain(value, 40)


def params(values: dict[str, Any]) -> str:
    """``lr = 0.1, momentum = 0.9``, to be broken at the commas only."""
    return ", ".join(
        f"{plain(name, 40)}\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{param(value)}" for name, value in values.items()
    )


def estimate(value: float, low: float, high: float, places: int | None = None) -> str:
    """``0.963 [0.955, 0.971]``, with as many decimals as give the interval two digits if ``places`` is not given."""
    places = decimals(value, low, high) if places is None else places
    if math.isnan(low):
        return number(value)
    if places > _MOST or abs(value) >= 1e6 or math.isinf(low) or math.isinf(high):
        return f"{number(value)} [{number(low)}, {number(high)}]"
    return "{} [{}, {}]".format(*(f"{v:.{places}f}".replace("-", _MINUS) for v in (value, low, high)))


def decimals(value: float, low: float, high: float) -> int:
    """How many decimals give the interval two digits; more than the most if significant digits are better."""
    width = (high - low) / 2
    if abs(value) * 1e-9 < width < math.inf:
        return max(0, 1 - math.floor(math.log10(width)))
    return 0 if float(value).is_integer() else _MOST + 1  # the same in every seed


def seconds(value: float) -> str:
    """A duration: ``4.2 s``, ``3 min 10 s``, ``2 h 5 min``."""
    if value < 60:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def count(number: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def markdown(value: Any) -> str:
    """Text that a Markdown table shows as it is."""
    return re.sub(r"([\\`*|\[\]<>&#~])", r"\\\1", plain(value))


def error_line(error: str) -> str:
    """What went wrong, in one line: the last line of a traceback, or else the first line."""
    lines = [line for line in error.splitlines() if line.strip()] or ["no message"]
    return plain(lines[-1] if lines[0].startswith("Traceback") else lines[0], 200)

r"""Tables for a paper: LaTeX with booktabs, for ``\input``."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.wording import plain

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after a line break it would be an argument
    "]": "{]}",
    "-": "{-}",  # two of them would be a dash
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "{--}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{INFINITY}": r"$\infty$",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
}


def escape(text: str) -> str:
    """Text that LaTeX sets as it is. Letters beyond Latin, which its fonts lack, are named by their code."""
    return "".join(_SPECIAL.get(c, c if ord(c) < 0x250 else f"{{[}}U+{ord(c):04X}{{]}}") for c in plain(text))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int = 0, label: str = "") -> str:
    """A tabular in a table float.

    Args:
        wide: how many of the last columns hold sentences, which are to be broken into lines.
    """
    simple = len(header) - wide
    share = 0.9 / max(1, wide + 0.5 * simple)
    columns = "l" * simple + rf"p{{{share:.2f}\linewidth}}" * wide
    lines = [" & ".join(escape(text) for text in row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\small",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(escape(text) for text in header) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\label{{tab:{label}}}",
            r"\end{table}",
            "",
        ]
    )

r"""Tables for a paper: LaTeX with booktabs, for ``\input``, whatever the encoding of the fonts."""

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
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "*": "{*}",  # after a line break it would be a part of that
    "[": "{[}",  # and this an argument
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


_LACKING = set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")  # below U+0180, of LaTeX's first encoding
_LONG = 30  # characters without a space: from there on they may be broken anywhere
_PAGE = 40  # rows that fit on one


def escape(text: str) -> str:
    """Text that LaTeX sets as it is. Letters that its fonts may lack are named by their code."""
    return " ".join(_word(word) for word in plain(text).split(" "))


def _word(word: str) -> str:
    characters = [_character(c) for c in word]
    return "".join(characters[:_LONG]) + "".join(rf"\allowbreak{{}}{c}" for c in characters[_LONG:])


def _character(c: str) -> str:
    fits = ord(c) < 0x180 and c not in _LACKING
    return _SPECIAL.get(c, c if fits else f"{{[}}U+{ord(c):04X}{{]}}")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int = 0, label: str = "") -> str:
    """A table float that is shrunk where it is wider than the page, or a long table of several pages.

    Args:
        wide: how many of the last columns hold sentences, which are to be broken into lines.
    """
    simple = len(header) - wide
    share = 0.9 / max(1, wide + 0.5 * simple)
    columns = "l" * simple + rf"p{{{share:.2f}\linewidth}}" * wide
    head = [r"\toprule", _line(header), r"\midrule"]
    body = [*map(_line, rows), r"\bottomrule"]
    set_up = _float if len(rows) <= _PAGE else _long
    return "\n".join([*set_up(columns, head, body, rf"\label{{tab:{label}}}"), ""])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(text) for text in cells) + r" \\"


def _float(columns: str, head: list[str], body: list[str], label: str) -> list[str]:
    return [
        r"% needs \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering\small",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        *head,
        *body,
        r"\end{tabular}}",
        label,
        r"\end{table}",
    ]


def _long(columns: str, head: list[str], body: list[str], label: str) -> list[str]:
    return [
        r"% needs \usepackage{booktabs,longtable}",
        r"{\scriptsize\setlength{\tabcolsep}{2pt}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"{label} \\",
        *head,
        r"\endhead",
        *body,
        r"\end{longtable}}",
    ]

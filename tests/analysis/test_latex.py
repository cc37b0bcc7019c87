import re

import pytest

from analysis import latex

SPECIALS = "\\{}$&#%_^~<>|"


@pytest.mark.parametrize("text", ["100 % of $x_1^2$ & more", r"\input{/etc/passwd}", "a~b#c", "<b>|x|</b>", SPECIALS])
def test_no_special_character_is_left(text):
    left = re.sub(r"\\text[a-z]+\{\}|\\[{}$&#%_]|\{[\[\]-]+\}", "", latex.escape(text))
    assert not set(left) & set(SPECIALS)


def test_signs_and_letters():
    assert latex.escape("é") == "é"
    assert latex.escape("日") == "{[}U+65E5{]}"
    assert latex.escape("a\n\nb\x00") == "a b"
    assert latex.escape("\N{MINUS SIGN}0.5 [1, 2]") == "$-$0.5 {[}1, 2{]}"


def test_a_table_has_as_many_cells_in_every_row():
    text = latex.table(("a", "b & c"), [("1", "x_y"), ("2", "[3, 4]")], wide=1, label="answer")
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [1, 1, 1]
    assert r"\begin{tabular}{lp{0.60\linewidth}}" in text

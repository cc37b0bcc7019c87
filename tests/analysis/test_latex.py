import re
import shutil
import subprocess

import pytest

from analysis import latex

SPECIALS = '\\{}$&#%_^~<>|*"'


@pytest.mark.parametrize("text", ["100 % of $x_1^2$ & more", r"\input{/etc/passwd}", "a~b#c", "<b>|x|</b>", SPECIALS])
def test_no_special_character_is_left(text):
    left = re.sub(r"\\(text[a-z]+|char34|allowbreak)\{\}|\\[{}$&#%_]|\{[\[\]*-]+\}", "", latex.escape(text))
    assert not set(left) & set(SPECIALS)


def test_signs_and_letters():
    assert latex.escape("é") == "é"
    assert latex.escape("日") == "{[}U+65E5{]}"
    assert latex.escape("Ħ «") == "{[}U+0126{]} {[}U+00AB{]}"
    assert latex.escape("a\n\nb\x00") == "a b"
    assert latex.escape("\N{MINUS SIGN}0.5 [1, 2]") == "$-$0.5 {[}1, 2{]}"


def test_a_table_has_as_many_cells_in_every_row():
    text = latex.table(("a", "b & c"), [("1", "x_y"), ("2", "[3, 4]")], wide=1, label="answer")
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [1, 1, 1]
    assert r"\begin{tabular}{lp{0.60\linewidth}}" in text


def test_a_row_that_begins_with_a_star_keeps_it():
    assert "\n{*} & {[}1pt{]} \\\\\n" in latex.table(("a", "b"), [("*", "[1pt]")])


def test_long_words_may_be_broken_and_long_tables_too():
    assert latex.escape("x" * 300).count(r"\allowbreak{}") == 270
    assert r"\allowbreak" not in latex.escape("optimizer.weight_decay of " * 20)
    short, long = (latex.table(("a",), [("1",)] * n, label="t") for n in (40, 41))
    assert r"\begin{tabular}" in short
    assert r"\begin{longtable}" in long
    assert r"\endhead" in long
    assert long.count("1 \\\\") == 41


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX on this machine")
@pytest.mark.parametrize("encoding", ["OT1", "T1"])
@pytest.mark.parametrize("rows", [1, 60])
def test_latex_takes_every_character(tmp_path, encoding, rows):
    text = "".join(chr(c) for c in range(0x20, 0x250)) + "日本 \N{MINUS SIGN}\N{INFINITY}"
    cells = [text[i : i + 40] for i in range(0, len(text), 40)]
    body = [("*", "[1pt]", "x" * 300), *(("a--b", "``q''", cell) for cell in cells * rows)][: max(40, rows)]
    (tmp_path / "t.tex").write_text(latex.table(("a", "b", text), body, wide=1, label="t"), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        rf"\documentclass{{article}}\usepackage[{encoding}]{{fontenc}}\usepackage{{booktabs,graphicx,longtable}}"
        r"\begin{document}\input{t}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "main.pdf").exists()

import math

import pytest

from analysis import wording


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.96321, 0.9548, 0.9716, "0.9632 [0.9548, 0.9716]"),
        (-1.5, -2.0, -1.0, "-1.50 [-2.00, -1.00]"),
        (1234.0, 1100.0, 1368.0, "1234 [1100, 1368]"),
        (0.5, math.nan, math.nan, "0.5"),
        (math.nan, math.nan, math.nan, "\N{EN DASH}"),
        (2.0, -math.inf, math.inf, "2 [-∞, ∞]"),
        (1e-9, 0.9e-9, 1.1e-9, "1e-09 [9e-10, 1.1e-09]"),
        (0.5, 0.5, 0.5, "0.5 [0.5, 0.5]"),
        (0.0, 0.0, 0.0, "0 [0, 0]"),
    ],
)
def test_estimates_show_what_the_interval_warrants(value, low, high, text):
    assert wording.estimate(value, low, high).replace("\N{MINUS SIGN}", "-") == text


def test_plain_is_one_printable_line():
    assert wording.plain("a\nb\t\x00c\u202ed \ud800") == "a b c d"
    assert wording.plain("x" * 300, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.21, "4.21 s"), (190, "3 min 10 s"), (7500, "2 h 5 min"), (0, "0 s"), (59.99, "60 s")]
)
def test_durations(seconds, text):
    assert wording.seconds(seconds) == text


def test_the_line_of_an_error_is_the_one_that_says_what():
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no such thing\n'
    assert wording.error_line(trace) == "ValueError: no such thing"
    assert wording.error_line("loss is nan\nat step 3") == "loss is nan"
    assert wording.error_line("") == "no message"


def test_markdown_cells_stay_cells():
    assert wording.markdown("a|b <i> `x` *y*\n[z]") == r"a\|b \<i\> \`x\` \*y\* \[z\]"


def test_counts_and_params():
    assert [wording.count(1, "trial"), wording.count(2000, "trial")] == ["1 trial", "2,000 trials"]
    assert wording.params({"lr": 0.012345678, "nesterov": True}).replace("\xa0", " ") == "lr = 0.01235, nesterov = true"

import io

import pytest
from rich.console import Console

from sweeps.progress import CellTotals, Progress
from trainables.api import Outcome


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """A progress display on a recorded console."""

    def __init__(self, cells, width=120, height=40, terminal=False, goal="maximize") -> None:
        self.out, self.clock = io.StringIO(), Clock()
        self.console = Console(
            file=self.out, width=width, height=height, force_terminal=terminal, color_system=None, legacy_windows=False
        )
        totals = {name: CellTotals(*total) for name, total in cells.items()}
        self.progress = Progress("demo", totals, ("accuracy", goal), self.console, self.clock)

    def run(self, cell, phase="tune", outcome=Outcome.DONE, seconds=2.0) -> None:
        self.progress.started(cell, phase)
        self.clock.now += seconds
        self.progress.ended(cell, phase, outcome, seconds)

    def table(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.progress._render())
        return captured.get().splitlines()

    def row(self, cell) -> list[str]:
        (line,) = [line for line in self.table() if line.split()[:1] == [cell]]
        return line.split()[1:]

    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_row_counts_what_happened_in_its_cell():
    screen = Screen({"mlp": (8, 5), "cnn": (8, 5)})
    for outcome in (Outcome.DONE, Outcome.PRUNED, Outcome.DIVERGED, Outcome.FAILED):
        screen.run("mlp", outcome=outcome)
    screen.run("mlp", "confirm")
    screen.progress.started("mlp", "confirm")
    screen.progress.best("mlp", 0.91234, {"optimizer.lr": 0.0123456, "model.depth": 3})
    assert screen.row("mlp") == ["4/8", "1/5", "1", "2", "1", "0.9123", "lr=0.0123", "depth=3"]
    assert screen.row("cnn") == ["0/8", "0/5", "-", "-", "-", "-"]
    assert any("5/26 trials (1 failed, 1 diverged, 1 pruned)" in line for line in screen.table())
    assert screen.table()[0] == "demo: maximize accuracy"


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.CANCELLED])
def test_an_attempt_that_can_go_on_is_neither_running_nor_final(outcome):
    screen = Screen({"mlp": (8, 5)})
    screen.run("mlp", outcome=outcome)
    assert screen.row("mlp")[:3] == ["0/8", "0/5", "-"]


def test_what_ended_in_an_earlier_life_counts_but_is_not_timed():
    screen = Screen({"mlp": (8, 0)})
    screen.progress.ended("mlp", "tune", Outcome.DONE, 0.0)
    assert screen.row("mlp")[0] == "1/8"
    assert any("- trials/min" in line and "- left" in line for line in screen.table())


def test_nothing_is_claimed_before_a_trial_has_ended():
    screen = Screen({"mlp": (8, 0)})
    screen.progress.started("mlp", "tune")
    screen.clock.now += 30
    assert screen.table()[2].startswith("- trials/min, 0:00:30 elapsed, - left")


def test_many_trials_per_minute_are_written_out():
    screen = Screen({"mlp": (80, 0)})
    for _ in range(40):
        screen.run("mlp", seconds=0.03125)
    assert screen.table()[2].startswith("1,920 trials/min")


def test_time_left_is_remaining_trials_at_the_time_of_their_cell_over_how_many_run_at_a_time():
    screen = Screen({"quick": (4, 0), "slow": (4, 0), "new": (2, 0)})
    for cell, seconds in (("quick", 10.0), ("slow", 30.0)):
        screen.progress.started(cell, "tune")
        screen.clock.now += 15
        screen.progress.ended(cell, "tune", Outcome.DONE, seconds)
    for cell in ("quick", "slow"):  # two at a time
        screen.progress.started(cell, "tune")
    left = (3 * 10 + 3 * 30 + 2 * 20) / 2
    assert left == 80
    assert screen.table()[2].startswith("4 trials/min, 0:00:30 elapsed, 0:01:20 left")


def test_no_time_is_left_at_the_end():
    screen = Screen({"mlp": (1, 1)})
    screen.run("mlp")
    screen.run("mlp", "confirm")
    assert "0:00:00 left" in screen.table()[2]


def test_a_pareto_front_confirms_more_than_was_planned():
    screen = Screen({"mlp": (1, 2)})
    for _ in range(5):
        screen.run("mlp", "confirm")
    assert screen.row("mlp")[:2] == ["0/1", "5/5"]


def test_many_cells_collapse_to_the_active_ones_and_a_sum():
    screen = Screen({f"cell{n}": (2, 0) for n in range(500)}, height=20)
    screen.run("cell3")
    screen.progress.started("cell450", "tune")
    screen.progress.started("cell77", "tune")
    table = screen.table()
    assert len(table) <= 20
    names = [line.split()[0] for line in table if line.strip().startswith("cell") and line.split()[0] != "cell"]
    assert {"cell3", "cell77", "cell450"} <= set(names)
    assert names == sorted(names, key=lambda name: int(name[4:]))
    (rest,) = [line.split() for line in table if "more cells" in line]
    assert int(rest[0]) == 500 - len(names)
    assert rest[3] == f"0/{2 * int(rest[0])}"


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 99, 100, 200])
def test_it_fits_any_width(width):
    screen = Screen({"model.name=cnn,model.width=64,augment=mixup": (8, 5), "b": (8, 5)}, width=width)
    screen.run("b")
    screen.progress.best("b", 0.9, {"optimizer.lr": 0.1, "optimizer.weight_decay": 1e-5})
    table = screen.table()
    assert max(map(len, table)) <= width
    assert any("1/8" in line for line in table) == (width >= 40)


def test_points_show_whole_names_where_the_last_parts_are_alike():
    screen = Screen({"mlp": (8, 5)}, width=200)
    screen.progress.best("mlp", 1.0, {"model.lr": 0.5, "attack.lr": 0.25, "name": "adam", "nesterov": True})
    assert screen.row("mlp")[-4:] == ["model.lr=0.5", "attack.lr=0.25", "name=adam", "nesterov=True"]


def test_text_that_looks_like_markup_is_shown_as_it_is():
    screen = Screen({"x=[bold]y[/]": (1, 0)})
    screen.progress.best("x=[bold]y[/]", 1.0, {"loss": "[red]"})
    assert screen.row("x=[bold]y[/]")[-1] == "loss=[red]"
    with screen.progress as progress:
        progress.message("failed: [/nothing] [link=x]")
    assert screen.lines()[0] == "failed: [/nothing] [link=x]"
    assert "in x=[bold]y[/] at loss=[red]" in screen.lines()[-1]


def test_elsewhere_it_prints_a_line_every_ten_seconds_and_at_the_end():
    screen = Screen({"mlp": (30, 0), "cnn": (30, 0)})
    with screen.progress as progress:
        for n in range(25):
            screen.run("mlp", seconds=1.0)
            progress.reports(3)
            progress.best("mlp", n / 100, {"lr": 0.1})
        progress.best("cnn", 0.01, {})
    lines = screen.lines()
    assert [line.split(" trials")[0] for line in lines] == ["demo: 10/60", "demo: 20/60", "demo: 25/60"]
    times = "60 trials/min, 0:00:25 elapsed, 0:00:35 left"
    assert lines[-1] == f"demo: 25/60 trials, 0 running, {times}, best accuracy 0.24 in mlp at lr=0.1"


def test_elsewhere_it_says_when_a_cell_is_tuned():
    screen = Screen({"mlp": (2, 1)})
    with screen.progress:
        screen.run("mlp", seconds=1)
        screen.run("mlp", seconds=1)
        screen.run("mlp", "confirm", seconds=1)
    assert screen.lines()[0] == "mlp: tuned"
    assert len(screen.lines()) == 2


def test_the_smaller_value_is_better_if_the_goal_says_so():
    screen = Screen({"a": (1, 0), "b": (1, 0)}, goal="minimize")
    with screen.progress as progress:
        progress.best("a", 0.5, {})
        progress.best("b", 0.25, {})
    assert screen.lines()[-1].endswith("best accuracy 0.25 in b")


def test_a_message_within_a_message_waits_for_it(monkeypatch):
    screen = Screen({"mlp": (1, 0)})
    write, inside = screen.out.write, []

    def interrupted(text):
        if not inside:
            inside.append(True)
            screen.progress.message("second")  # as a signal handler would
        return write(text)

    monkeypatch.setattr(screen.out, "write", interrupted)
    screen.progress.message("first")
    assert screen.lines() == ["first", "second"]


def test_in_a_terminal_the_table_stays_up_to_date_and_the_last_state_stays():
    screen = Screen({"mlp": (2, 0)}, terminal=True, width=80)
    with screen.progress as progress:
        screen.run("mlp")
        progress.message("something happened")
        screen.run("mlp")
    text = screen.out.getvalue()
    assert "something happened" in text
    assert "2/2" in text[text.rindex("demo: maximize") :]
    assert "\x1b[?25h" in text, "the cursor is shown again"


def test_an_error_inside_passes_through_and_leaves_the_terminal_whole():
    screen = Screen({"mlp": (2, 0)}, terminal=True)
    with pytest.raises(KeyboardInterrupt), screen.progress:
        raise KeyboardInterrupt
    assert "\x1b[?25h" in screen.out.getvalue()

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.ambient import ambient
from trainables.api import Order, Outcome
from trainables.attempt import Attempt
from trainables.checkpoint import load
from trainables.keeping import Keep


class Log:
    """A sink that remembers."""

    def __init__(self):
        self.reports, self.images, self.notes, self.closed = [], [], [], []

    def report(self, step, metrics):
        self.reports.append((step, dict(metrics)))

    def image(self, tag, step, png):
        self.images.append((tag, step, png))

    def note(self, key, value):
        self.notes.append((key, value))

    def sync(self):
        self.synced = len(self.reports)

    def close(self, outcome):
        self.closed.append(outcome)


@pytest.fixture
def start(tmp_path):
    """Write a trainable to a file and begin an attempt of it. The folder of the trial is ``trial``."""

    def begin(source, config=None, sink=None, rank=0, world_size=1, **order):
        (tmp_path / "mine.py").write_text(textwrap.dedent(source))
        defaults = {"trial": "t", "seed": 0, "objectives": ("loss",), "folder": str(tmp_path / "trial")}
        order = Order(trainable="mine.py:run", config=config or {}, search_path=str(tmp_path), **defaults | order)
        return Attempt(order, sink or Log(), rank=rank, world_size=world_size)

    return begin


COUNT = """
def run(config, trial):
    start = trial.restored["step"] if trial.restored else 0
    for step in range(start + 1, config["steps"] + 1):
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"loss": 1.0 / step}
"""


def test_each_report_is_in_the_sink_before_it_is_handed_on(start):
    attempt = start(COUNT, {"steps": 3}, sink := Log())
    for step, metrics in attempt:
        assert sink.reports[-1] == (step, metrics)
    assert [step for step, _ in sink.reports] == [1, 2, 3]
    assert attempt.ending.outcome == Outcome.DONE
    assert sink.closed == [Outcome.DONE]


def test_a_plain_function_reports_once(start):
    attempt = start("def run(config): return {'loss': config['x'] ** 2}", {"x": 3})
    assert list(attempt) == [(1, {"loss": 9.0})]
    assert attempt.ending.outcome == Outcome.DONE


def test_numbers_of_every_kind_become_floats(start):
    attempt = start(
        """
        import fractions, numpy, torch
        def run(config):
            return {"loss": torch.tensor(0.5, requires_grad=True), "a": numpy.float32(0.25), "b": numpy.array(2),
                    "c": True, "d": fractions.Fraction(1, 4), "e": 3, "step": numpy.int64(7)}
        """,
        sink=(sink := Log()),
    )
    assert list(attempt) == [(7, {"loss": 0.5, "a": 0.25, "b": 2.0, "c": 1.0, "d": 0.25, "e": 3.0})]
    assert all(type(value) is float for value in dict(sink.reports)[7].values())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{'loss': 'low'}", ["metric 'loss'", "'low' (str)", "expected a number"]),
        ("{'loss': None}", ["metric 'loss'", "None"]),
        ("{'loss': 1j}", ["metric 'loss'", "complex"]),
        ("{'loss': [1.0]}", ["metric 'loss'", "list"]),
        ("{'loss': 10 ** 400}", ["metric 'loss'", "too large"]),
        ("{'loss': __import__('numpy').zeros(2)}", ["metric 'loss'", "shape (2,)"]),
        ("{3: 1.0}", ["metric name", "3 (int)"]),
        ("{}", ["no metric"]),
        ("{'step': 4}", ["no metric"]),
        ("{'step': 1.5, 'loss': 1.0}", ["step", "1.5 (float)"]),
        ("{'step': True, 'loss': 1.0}", ["step", "bool"]),
        ("{'step': -1, 'loss': 1.0}", ["step", "-1"]),
    ],
)
def test_what_is_no_metric_fails_with_its_name(start, value, words):
    attempt = start(f"def run(config): return {value}", sink=(sink := Log()))
    assert list(attempt) == []
    assert attempt.ending.outcome == Outcome.FAILED
    assert all(word in attempt.ending.error for word in ["mine.py:run", *words])
    assert "\n" not in attempt.ending.error
    assert sink.reports == []


@pytest.mark.parametrize(("returned", "got"), [("None", "NoneType"), ("3.0", "float"), ("[{'loss': 1}]", "list")])
def test_what_is_no_report_fails(start, returned, got):
    attempt = start(f"def run(config): return {returned}")
    assert list(attempt) == []
    assert f"returned {got}" in attempt.ending.error


def test_steps_have_to_grow(start):
    attempt = start("def run(config):\n  for n in (0, 5, 5): yield {'step': n, 'loss': 1.0}")
    assert [step for step, _ in attempt] == [0, 5]
    assert "got 5 after 5" in attempt.ending.error


def test_an_objective_that_never_comes_fails_and_says_what_came(start):
    attempt = start("def run(config):\n  yield {'accuracy': 1.0}\n  yield {'time': 1.0}")
    assert len(list(attempt)) == 2
    assert attempt.ending.outcome == Outcome.FAILED
    assert attempt.ending.error == "mine.py:run: never reported 'loss'; it reported accuracy, time"


def test_a_generator_without_reports_fails_also_without_objectives(start):
    attempt = start("def run(config):\n  return\n  yield", objectives=())
    assert list(attempt) == []
    assert "never reported 'any metric'; it reported nothing" in attempt.ending.error


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_wild_objective_is_reported_and_then_ends_the_trial(start, value):
    attempt = start(
        f"def run(config):\n  yield {{'loss': float('{value}')}}\n  yield {{'loss': 1.0}}", sink=(sink := Log())
    )
    assert [step for step, _ in attempt] == [1]
    assert len(sink.reports) == 1
    assert attempt.ending.outcome == Outcome.DIVERGED
    assert "loss is" in attempt.ending.error


def test_a_wild_value_of_another_metric_is_just_a_value(start):
    attempt = start("def run(config): return {'loss': 1.0, 'ratio': float('nan')}")
    assert len(list(attempt)) == 1
    assert attempt.ending.outcome == Outcome.DONE


def test_a_trainable_may_say_that_it_diverged(start):
    attempt = start("from trainables.api import Diverged\ndef run(config): raise Diverged('gradient of 1e30')")
    assert list(attempt) == []
    assert (attempt.ending.outcome, attempt.ending.error) == (Outcome.DIVERGED, "gradient of 1e30")


def test_an_exception_ends_the_trial_with_the_trace_of_the_user(start):
    attempt = start(
        """
        def run(config, trial):
            yield {"loss": 1.0}
            inner()
        def inner():
            raise ValueError("no such luck")
        """,
        sink=(sink := Log()),
    )
    assert len(list(attempt)) == 1
    assert attempt.ending.outcome == Outcome.FAILED
    assert sink.closed == [Outcome.FAILED]
    error = attempt.ending.error
    assert error.endswith("ValueError: no such luck\n")
    assert "in inner" in error
    assert "attempt.py" not in error
    assert "registry.py" not in error


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ("raise SystemExit(3)", Outcome.FAILED, "SystemExit: 3"),
        ("import sys; sys.exit()", Outcome.FAILED, "SystemExit"),
        ("raise KeyboardInterrupt", Outcome.CANCELLED, "interrupted"),
        ("raise StopIteration", Outcome.FAILED, "StopIteration"),
        ("raise BaseException('odd')", Outcome.FAILED, "odd"),
        ("def f(): return f()\n  f()", Outcome.FAILED, "RecursionError"),
    ],
)
def test_no_exception_gets_out(start, body, outcome, words):
    attempt = start(f"def run(config):\n  {body}")
    assert list(attempt) == []
    assert attempt.ending.outcome == outcome
    assert words in attempt.ending.error
    assert len(attempt.ending.error) < 21_000


def test_an_unknown_trainable_and_a_wrong_config_fail_in_one_line(start):
    attempt = start("def other(config): pass")
    assert list(attempt) == []
    assert "no such function" in attempt.ending.error
    attempt = start(
        """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Config:
            x: float = 0.0
        def run(config: Config): return {"loss": config.x}
        """,
        {"x": "wide"},
    )
    assert list(attempt) == []
    assert attempt.ending.error.startswith("mine.py:run: x: wrong value")


def test_an_error_of_the_sink_is_raised(start):
    class Full(Log):
        def report(self, *_):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        next(start(COUNT, {"steps": 1}, Full()))


def test_the_config_of_the_order_stays_as_it_was(start):
    config = {"deep": {"list": [1]}}
    attempt = start("def run(config):\n  config['deep']['list'].append(2)\n  return {'loss': 1.0}", config)
    list(attempt)
    assert config == {"deep": {"list": [1]}}
    assert attempt.ending.outcome == Outcome.DONE


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_cancelled_attempt_keeps_what_it_offered_and_the_next_goes_on(start, tmp_path):
    first = start(COUNT, {"steps": 5})
    assert [next(first)[0] for _ in range(3)] == [1, 2, 3]
    first.close(Outcome.CANCELLED)
    assert list(first) == []
    assert load(tmp_path / "trial").step == 3
    second = start(COUNT, {"steps": 5}, attempt=2)
    assert list(second) == [(4, {"loss": 0.25}), (5, {"loss": 0.2})]
    assert second.ending.outcome == Outcome.DONE


def test_a_trial_that_had_reported_everything_is_done(start):
    first = start(COUNT, {"steps": 2})
    next(first), next(first)
    first.close(Outcome.CANCELLED)
    second = start(COUNT, {"steps": 2}, attempt=2)
    assert list(second) == []
    assert second.ending.outcome == Outcome.DONE


def test_a_trial_that_restarts_its_steps_is_told_so(start):
    first = start(COUNT, {"steps": 2})
    next(first)
    first.close(Outcome.CANCELLED)
    second = start("def run(config, trial): return {'step': 1, 'loss': 1.0}")
    assert list(second) == []
    assert "got 1 after 1; steps have to grow, also when a trial goes on" in second.ending.error


@pytest.mark.parametrize(
    ("outcome", "keep", "left"),
    [
        (Outcome.DONE, False, False),
        (Outcome.DONE, True, True),
        (Outcome.PRUNED, True, False),
        (Outcome.DIVERGED, True, False),
        (Outcome.CANCELLED, False, True),
        (Outcome.FAILED, False, True),
    ],
)
def test_what_is_left_of_the_folder(start, tmp_path, outcome, keep, left):
    earlier = start(COUNT, {"steps": 9})
    next(earlier)
    earlier.close(Outcome.CANCELLED)
    attempt = start(COUNT, {"steps": 3}, keep_checkpoint=keep)
    next(attempt)
    if outcome == Outcome.DONE:
        list(attempt)
    attempt.close(outcome)
    assert attempt.ending.outcome == outcome
    assert (tmp_path / "trial").exists() == left
    if left and keep:
        assert load(tmp_path / "trial").step == 3


def test_a_checkpoint_is_saved_after_its_report_and_before_the_generator_goes_on(start, tmp_path):
    source = """
        import time
        def run(config, trial):
            for step in range(1, 4):
                model = {"step": step}
                trial.checkpoint(lambda: model | {"step": model["step"]})
                yield {"loss": 1.0}
                model["step"] = -1
                time.sleep(1.05)
    """
    attempt = start(source)
    next(attempt)
    next(attempt)
    assert load(tmp_path / "trial") is None  # the second waits for the generator to go on
    next(attempt)
    saved = load(tmp_path / "trial")
    assert (saved.step, saved.state["step"]) == (2, 2)


def test_reports_are_safe_from_a_power_failure_before_the_state_that_follows_them(start, monkeypatch):
    monkeypatch.setattr("trainables.cohort.Pace.due", property(lambda _: True))
    saved, sink = [], Log()
    monkeypatch.setattr("trainables.member.save", lambda *given: saved.append((given[1], sink.synced)))
    assert len(list(start(COUNT, {"steps": 4}, sink))) == 4
    assert saved == [(step, step) for step in (1, 2, 3, 4)]


def test_an_offer_belongs_to_the_report_after_it_only(start, tmp_path):
    source = """
        def run(config, trial):
            trial.checkpoint(lambda: {"step": 1})
            yield {"loss": 1.0}
            yield {"loss": 1.0}
    """
    attempt = start(source)
    next(attempt), next(attempt)
    attempt.close(Outcome.CANCELLED)
    assert load(tmp_path / "trial") is None


def test_a_damaged_state_is_a_fact_and_no_failure_and_does_not_count_as_one_that_is_kept(start, tmp_path):
    folder = tmp_path / "trial"
    earlier = start(COUNT, {"steps": 9})
    for _ in range(2):
        next(earlier)
    earlier.close(Outcome.CANCELLED)
    (folder / "checkpoint-4.pt").write_text("not a checkpoint\n")
    again = start(COUNT, {"steps": 9}, sink=(sink := Log()), attempt=2)
    assert next(again)[0] == 3
    assert sink.notes == [
        ("damaged_checkpoint", {"files": {"checkpoint-4.pt": "File is not a zip file"}, "went_on_from_step": 2})
    ]
    for _ in range(2):
        next(again)
    again.close(Outcome.CANCELLED)
    assert again.ending.outcome == Outcome.CANCELLED
    assert sorted(path.name for path in folder.glob("*.pt")) == ["checkpoint-2.pt", "checkpoint-5.pt"]


def test_a_state_that_cannot_be_saved_at_a_multiple_fails_its_trial_only(start):
    source = """
        def run(config, trial):
            trial.checkpoint(lambda: {"model": object()})
            yield {"loss": 1.0}
    """
    attempt = start(source, keep=Keep(every_steps=1))
    assert len(list(attempt)) == 1
    assert attempt.ending.outcome == Outcome.FAILED
    assert "got a object" in attempt.ending.error


def test_a_state_that_cannot_be_saved_fails_in_one_line(start):
    attempt = start(
        """
        def run(config, trial):
            trial.checkpoint(lambda: {"model": object()})
            yield {"loss": 1.0}
        """,
        keep_checkpoint=True,
    )
    list(attempt)
    assert attempt.ending.outcome == Outcome.FAILED
    assert attempt.ending.error.startswith("mine.py:run: state['model']: got a object")


def test_other_ranks_neither_report_nor_judge_nor_save(start, tmp_path):
    source = "def run(config, trial):\n  yield {'loss': float('nan') if trial.rank else 1.0}\n  yield {'loss': 1.0}"
    attempt = start(source, sink=(sink := Log()), rank=1, world_size=2)
    assert len(list(attempt)) == 2
    assert attempt.ending.outcome == Outcome.DONE
    assert (sink.reports, sink.closed) == ([], [])


# --- what a trial offers ---------------------------------------------------------------------------------------------


def test_figures_and_images_come_with_the_next_report(start):
    source = """
        import numpy
        from matplotlib.figure import Figure
        def run(config, trial):
            figure = Figure()
            figure.subplots().plot([1, 2])
            trial.figure("curve", figure)
            trial.image("grey", numpy.linspace(0, 1, 12).reshape(3, 4))
            trial.image("colour", numpy.full((2, 2, 3), 255, numpy.uint8))
            yield {"step": 10, "loss": 1.0}
            yield {"step": 20, "loss": 1.0}
    """
    list(start(source, sink=(sink := Log())))
    assert [(tag, step) for tag, step, _ in sink.images] == [("curve", 10), ("grey", 10), ("colour", 10)]
    pictures = [np.asarray(Image.open(io.BytesIO(png))) for _, _, png in sink.images]
    assert [picture.shape for picture in pictures[1:]] == [(3, 4), (2, 2, 3)]
    assert pictures[1].ravel()[[0, -1]].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ("numpy.zeros((2, 2, 4))", "shape (2, 2, 4)"),
        ("numpy.zeros(5)", "shape (5,)"),
        ("numpy.zeros((0, 3))", "shape (0, 3)"),
        ("numpy.full((2, 2), 1.5)", "from 1.5 to 1.5"),
        ("numpy.full((2, 2), numpy.nan)", "nan"),
        ("numpy.zeros((2, 2), int)", "int64"),
    ],
)
def test_what_is_no_image_fails(start, pixels, words):
    attempt = start(f"import numpy\ndef run(config, trial):\n  trial.image('x', {pixels})\n  yield {{'loss': 1.0}}")
    assert list(attempt) == []
    assert words in attempt.ending.error


def test_notes_artifacts_and_streams(start, tmp_path):
    source = """
        def run(config, trial):
            trial.note("digest", "abc")
            folder = trial.artifact({"a": 1}, lambda path: (path / "x").write_text("1"))
            return {"loss": float((folder / "x").read_text()), "draw": trial.streams.numpy("data").random()}
    """
    one, two = (list(start(source, sink=(sink := Log()), store=str(tmp_path / "store"))) for _ in range(2))
    assert one == two
    assert one[0][1]["loss"] == 1.0
    noted, (artifact, content) = sink.notes
    assert noted == ("digest", "abc")
    assert artifact.startswith("artifact/")
    assert len(content) == 64


# --- the process -----------------------------------------------------------------------------------------------------


def test_every_attempt_finds_the_same_process_and_leaves_it_as_it_was(start):
    source = """
        import random, numpy, torch
        def run(config):
            found = {"loss": random.random(), "numpy": numpy.random.rand(), "torch": torch.rand(()).item(),
                     "threads": torch.get_num_threads(), "float": torch.get_default_dtype() == torch.float32,
                     "grad": torch.is_grad_enabled()}
            torch.set_default_dtype(torch.float64), torch.set_grad_enabled(False), torch.set_num_threads(1)
            return found
    """
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), random.getstate()
    one, two = (list(start(source, threads=2)) for _ in range(2))
    assert one == two
    assert one[0][1] | {"threads": 2.0, "float": 1.0, "grad": 1.0} == one[0][1]
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), random.getstate()) == before


def test_a_trainable_that_imports_torch_itself_finds_its_threads(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for before in (None, "7"):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if before:
            monkeypatch.setenv("OMP_NUM_THREADS", before)
        with ambient(0, 3):
            assert os.environ["OMP_NUM_THREADS"] == "3"  # torch reads it when it is imported
        assert os.environ.get("OMP_NUM_THREADS") == before


def test_an_attempt_needs_neither_ray_nor_torch(tmp_path):
    (tmp_path / "mine.py").write_text("def run(config):\n  yield {'loss': 1.0}\n  yield {'loss': 0.5}")
    code = f"""
        import sys
        sys.modules["ray"] = None
        from trainables.api import Order
        from trainables.attempt import Attempt
        class Sink:
            def report(self, step, metrics): pass
            def sync(self): pass
            def close(self, outcome): pass
        attempt = Attempt(Order(trial="t", trainable="mine.py:run", config={{}}, seed=0, search_path={str(tmp_path)!r},
                                folder={str(tmp_path / "trial")!r}), Sink())
        print(len(list(attempt)), attempt.ending.outcome, "torch" in sys.modules, "optuna" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "done", "False", "False"]


def test_an_attempt_runs_in_any_thread(start):
    found = []
    worker = threading.Thread(target=lambda: found.extend(start(COUNT, {"steps": 2})))
    worker.start()
    worker.join()
    assert len(found) == 2

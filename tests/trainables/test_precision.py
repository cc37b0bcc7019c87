"""Mixed precision and compilation change how a step is computed, and not what comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_trial import FakeTrial
from tiny import TOLERANCE, config, gap, parameters, train

from trainables.config import ConfigError
from trainables.training.stacking import Stack

BFLOAT16 = 0.1
"""How far parameters in bfloat16, of 8 significant bits, may be from those in float32 after a few steps, and from each
other in cohorts of other sizes; relative to the largest. Adam comes near it, for it takes long steps along gradients
that are little more than rounding errors; SGD stays below 0.03."""

BFLOAT16_LOSS = 0.02
"""The same for losses, which is what counts."""

CASES = [
    {"model": {"name": "mlp", "dropout": 0.2}, "optimizer": "sgd"},
    {"model": "mlp", "optimizer": {"name": "adam", "lr": 0.01}, "label_smoothing": 0.1},
    {"model": "cnn", "optimizer": "sgd", "augmentation": "noise"},
]


def run(seeds=(0, 1, 2), **settings):
    trials = [FakeTrial(seed=seed) for seed in seeds]
    configs = [config(clip_norm=1.0 + seed, **settings) for seed in seeds]
    return trials, train(configs, trials)


@pytest.fixture(params=CASES, ids=lambda case: str(case["model"]))
def case(request):
    return request.param


def test_bfloat16_is_near_float32_but_not_the_same(case):
    (half, reports), (full, expected) = run(precision="bfloat16", **case), run(**case)
    for n in range(3):
        assert 1e-5 < gap(half[n], full[n]) < BFLOAT16
        assert reports[n][-1]["loss/train"] == pytest.approx(expected[n][-1]["loss/train"], rel=BFLOAT16_LOSS)


def test_weights_and_updates_stay_float32():
    (trial,), _ = run([0], precision="bfloat16", optimizer="adam")
    state = trial.saved["fit"]
    assert {part.dtype for part in state["network"]["parameters"].values()} == {torch.float32}
    assert state["optimizer"]["mean"].dtype == state["optimizer"]["square"].dtype == torch.float32


def test_bfloat16_gives_the_same_bits_twice(case):
    (first, _), (second, _) = (run(precision="bfloat16", **case) for _ in range(2))
    assert all(torch.equal(parameters(one), parameters(two)) for one, two in zip(first, second, strict=True))


def test_bfloat16_alone_and_in_a_cohort(case):
    together, reports = run(precision="bfloat16", **case)
    for seed, trial in enumerate(together):
        (single,), (expected,) = run([seed], precision="bfloat16", **case)
        assert gap(trial, single) < BFLOAT16
        assert reports[seed][-1]["loss/train"] == pytest.approx(expected[-1]["loss/train"], rel=BFLOAT16_LOSS)


# --- compilation ------------------------------------------------------------------------------------------------------

FORMS = [
    {"model": {"name": "mlp", "dropout": 0.3}, "optimizer": "adam", "augmentation": "noise"},
    {"model": "cnn", "batch_size": 24},
    {"model": "mlp", "precision": "bfloat16"},
]


@pytest.mark.parametrize("settings", FORMS, ids=["mlp", "cnn", "bfloat16"])
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_what_is_compiled_is_the_same_step(settings, seeds, monkeypatch):
    """The trace of it, before it is compiled; one for each size of a batch and each size of the stack."""
    traces = []
    monkeypatch.setattr(torch, "compile", lambda trace, **_: traces.append(trace) or trace)
    (traced, reports), (eager, expected) = run(seeds, compile=True, **settings), run(seeds, **settings)
    for n, _ in enumerate(seeds):
        assert gap(traced[n], eager[n]) < TOLERANCE
        assert reports[n][-1]["loss/test"] == pytest.approx(expected[n][-1]["loss/test"], rel=TOLERANCE)
        buffers = [trial.saved["fit"]["network"]["buffers"] for trial in (traced[n], eager[n])]
        assert all(torch.equal(buffers[0][name], kept) for name, kept in buffers[1].items())
    assert len(traces) == (2 if "batch_size" in settings else 1)


def test_a_stack_that_shrinks_is_compiled_anew(monkeypatch):
    sizes = []
    monkeypatch.setattr(torch, "compile", lambda trace, **_: lambda *own: sizes.append(len(own[0])) or trace(*own))
    trials = [FakeTrial(seed=seed) for seed in range(3)]
    train([config(compile=True, optimizer={"name": "sgd", "lr": lr}) for lr in (0.1, 1e30, 0.2)], trials)
    assert sizes == [3] * 4 + [2] * 4


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError("InvalidCxxCompiler: none\nmore"), ConfigError, "InvalidCxxCompiler: none; set `compile: false`"),
        (torch.OutOfMemoryError("out"), torch.OutOfMemoryError, "out"),
    ],
)
def test_what_goes_wrong_at_the_first_call(error, kind, words, monkeypatch):
    """That no compiler works is a fault of the config; that memory is short is not, and a smaller cohort helps."""

    def fail(*_):
        raise error

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.raises(kind, match=words):
        run([0], compile=True)


# In a process of its own, which costs its start: what torch imports to compile warns of its own future.
COMPILED = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from tiny import config, gap, train
from fake_trial import FakeTrial
import torch
calls, compile = [], torch.compile
torch.compile = lambda *a, **k: calls.append(1) or compile(*a, **k)
def run(**settings):
    trials = [FakeTrial(seed=seed) for seed in range(3)]
    configs = [config(label_smoothing=0.1 * seed, **json.loads(sys.argv[2]), **settings) for seed in range(3)]
    return trials, train(configs, trials)
(quick, reports), (plain, expected) = run(compile=True), run()
print(json.dumps({
    "gaps": [gap(*pair) for pair in zip(quick, plain)],
    "losses": [[made[-1]["loss/test"] for made in found] for found in (reports, expected)],
    "buffers": [[{k: v.tolist() for k, v in t.saved["fit"]["network"]["buffers"].items()} for t in found]
                for found in (quick, plain)],
    "compiled": len(calls),
}))
"""


def in_a_process(settings, **environment):
    paths = json.dumps([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    command = [sys.executable, "-c", COMPILED, paths, json.dumps(settings)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"name": "mlp", "width": 8, "dropout": 0.3}, "optimizer": "adam", "augmentation": "noise"},
        {"model": {"name": "cnn", "width": 4}, "batch_size": 24},
        {"model": {"name": "mlp", "width": 8}, "precision": "bfloat16"},
    ],
    ids=["mlp", "cnn", "bfloat16"],
)
def test_compiled_equals_eager(settings, tmp_path):
    done = in_a_process(settings, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    half = "precision" in settings
    assert max(found["gaps"]) < (BFLOAT16 if half else 10 * TOLERANCE)  # it fuses operations and rounds less often
    for made, expected in zip(*found["losses"], strict=True):
        assert made == pytest.approx(expected, rel=BFLOAT16_LOSS if half else 10 * TOLERANCE)
    assert found["buffers"][0] == found["buffers"][1]
    assert found["compiled"] == (2 if "batch_size" in settings else 1)  # once for each size of a batch, not each step


@pytest.mark.slow
def test_without_a_compiler_the_error_says_what_to_do(tmp_path):
    done = in_a_process({"model": "linear"}, TORCHINDUCTOR_CACHE_DIR=str(tmp_path), CXX="/no/such/compiler")
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("trainables.config.ConfigError: compile: torch.compile does not work here: ")
    assert "/no/such/compiler" in error
    assert error.endswith("; set `compile: false`")


def test_a_stack_compiles_only_when_told_to(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("it compiles"))
    run([0])
    assert Stack([config().model.build((1, 8, 8), 4, torch.Generator())])._compiled is None

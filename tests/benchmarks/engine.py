# ruff: noqa: E402 - the paths come first
"""What a training step costs: plain PyTorch, the engine with one trial, and cohorts of growing size; one thread.

python tests/benchmarks/engine.py [--models mlp cnn] [--sizes 1 8 16 32 64 128] [--device cuda]

Plain PyTorch and the engine take turns, and the quickest epoch of each counts, so that other work on the machine weighs
little. "kernels" is the share of the step that is spent in PyTorch's kernels, by its profiler, on a CPU. Profiling
takes time itself, so the true share is higher; the rest is Python and dispatch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent / "contenders")]

import torch
import work
from torch.profiler import ProfilerActivity, profile

from trainables.ambient import reuse_freed_memory
from trainables.api import Nowhere, Order
from trainables.member import Context
from trainables.registry import find

STEPS = 20  # of an epoch
ROUNDS = 8


def epoch_of_plain(model: str, device: str) -> Callable[[], None]:
    inputs, _, labels, _ = (part.to(device) for part in work.digits(0))
    network = work.build(model).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)

    def epoch() -> None:
        for rows in torch.randperm(len(labels), device=device).split(work.BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs[rows]), labels[rows]).backward()
            optimizer.step()

    return epoch


def epoch_of_engine(model: str, size: int, device: str) -> Callable[[], None]:
    from trainables.supervised import classify

    trainable = find("supervised.classify")
    settings = work.settings(model, 256)
    configs, trials = [], []
    for number in range(size):
        setting = settings[number % 256]
        optimizer = {"name": "sgd", "lr": setting["lr"], "weight_decay": setting["weight_decay"]}
        values = {"model": model, "optimizer": optimizer, "split": {"validation_fraction": 0.1095}, "epochs": 1000}
        order = Order(trial=str(number), trainable="", config={}, seed=setting["seed"], gpus=float(device == "cuda"))
        configs.append(trainable.build(values))
        trials.append(Context(order, Nowhere(), rank=0, world_size=1, pulse=lambda: None))
    return classify.begin(configs, trials)[0].run_epoch


def seconds(epoch: Callable[[], None], device: str) -> float:
    began = time.perf_counter()
    epoch()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def share_in_kernels(epoch: Callable[[], None]) -> float:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        took = seconds(epoch, "cpu")
    return sum(event.self_cpu_time_total for event in found.key_averages()) / 1e6 / took


def row(model: str, size: int, device: str) -> str:
    plain, ours = epoch_of_plain(model, device), epoch_of_engine(model, size, device)
    pairs = [(seconds(plain, device), seconds(ours, device)) for _ in range(ROUNDS)]
    alone, together = (1000 * min(times) / STEPS for times in zip(*pairs, strict=True))
    kernels = f"{share_in_kernels(ours):.0%}" if device == "cpu" else "-"
    times = f"{alone:.3f} | {together:.3f} | {together / size:.4f}"
    return f"| {model} | {size} | {times} | {alone * size / together:.2f} | {kernels} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 8, 16, 32, 64, 128])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    reuse_freed_memory()
    print("| model | trials | plain PyTorch, ms per step | ms per step | and trial | quicker by | kernels |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    for model in options.models:
        for size in options.sizes:
            print(row(model, size, options.device), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""The work that all contenders do, in plain PyTorch: 64 settings times 4 seeds, 500 steps each.

A multilayer perceptron (64-64-64-10, ReLU) or a small convolutional network, on 1,280 of the 8 x 8 digits of
scikit-learn, with stochastic gradient descent with momentum and a constant learning rate.
"""

from __future__ import annotations

import time

STARTED = time.time()  # before PyTorch is imported: contenders import this module first

import argparse  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
from functools import lru_cache  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from torch import nn  # noqa: E402

EPOCHS, BATCH = 25, 64
LEARNING_RATES = np.geomspace(1e-3, 0.3, 8).tolist()
WEIGHT_DECAYS = np.geomspace(1e-6, 1e-2, 8).tolist()
SEEDS = range(4)


def settings(model: str, trials: int) -> list[dict]:
    """So many of the 256, evenly spread, so that their accuracy can be held against that of all."""
    grid = itertools.product(LEARNING_RATES, WEIGHT_DECAYS, SEEDS)
    every = [{"model": model, "lr": lr, "weight_decay": decay, "seed": seed} for lr, decay, seed in grid]
    return every[:: len(every) // trials][:trials]


def build(model: str) -> nn.Module:
    if model == "mlp":
        hidden = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))

    def block(channels: int, width: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        return [convolution, nn.GroupNorm(1, width), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 16), *block(16, 32), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))


@lru_cache
def digits(seed: int) -> list[torch.Tensor]:
    """Training inputs, held-out inputs, training labels, held-out labels."""
    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).astype("float32") / 16
    parts = train_test_split(images, labels, train_size=1280, test_size=0.2, stratify=labels, random_state=seed)
    return [torch.as_tensor(part) for part in parts]


def train(setting: dict, threads: int = 1) -> dict:
    """One trial. ``began`` and ``ended`` are seconds since 1970."""
    began = time.time()
    torch.set_num_threads(threads)
    torch.manual_seed(setting["seed"])
    inputs, held_inputs, labels, held_labels = digits(setting["seed"])
    model = build(setting["model"])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=setting["lr"], momentum=0.9, weight_decay=setting["weight_decay"]
    )
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        logits = model(held_inputs)
    loss = nn.functional.cross_entropy(logits, held_labels).item()
    accuracy = (logits.argmax(1) == held_labels).float().mean().item()
    return {"loss": loss, "accuracy": accuracy, "began": began, "ended": time.time()}


def arguments(**more: type) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["mlp", "cnn"], default="mlp")
    parser.add_argument("--trials", type=int, default=256)
    for name, kind in more.items():
        parser.add_argument(f"--{name}", type=kind, default=1)
    return parser.parse_args()


def show(contender: str, model: str, results: list[dict]) -> None:
    """Print one line of JSON."""
    row = {
        "contender": contender,
        "model": model,
        "trials": len(results),
        "seconds": time.time() - STARTED,
        "without_startup_s": max(r["ended"] for r in results) - min(r["began"] for r in results),
        "mean_accuracy": float(np.mean([r["accuracy"] for r in results])),
    }
    print(json.dumps(row))  # noqa: T201

# ruff: noqa: E402, T201 - the paths come first
"""Why training of small networks on more random labels than it fits does not come to rest; one thread.

python tests/benchmarks/settling.py steps [--labels 280] [--updates 4000] [--batch 4096] [--lr 0.015]
python tests/benchmarks/settling.py kinks [--labels 280] [--activation relu]

steps: how `capacity.emc` ends at one sample size, in five seeds of a perceptron of 682 parameters.
kinks: 1000 steps of Adam on all examples, then L-BFGS with a line search, in float64, until nothing lowers the loss any
more; what the loss does along the negative gradient from there, as a share of what the gradient promises; and how many
of the inputs of the activations are 0 to seven digits, where ReLU has no derivative.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

import torch
from torch import Tensor, nn

from trainables.capacity import rung, samples
from trainables.capacity.emc import Config
from trainables.data import load
from trainables.models import mlp
from trainables.seeding import Streams
from trainables.training.optimizers import adam
from trainables.training.schedules import cosine

SEEDS = range(5)
STRIDES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def config(options: argparse.Namespace) -> Config:
    return Config(
        model=mlp.Config(width=8, activation=options.activation),
        optimizer=adam.Config(lr=options.lr),
        schedule=cosine.Config(warmup_fraction=0.03),
        updates=options.updates,
        batch_size=options.batch,
        check_every=50,
        check_minimum=True,
    )


def steps(options: argparse.Namespace) -> None:
    own = config(options)
    examples = load(own.data)
    parts = samples.stacked([samples.pool(examples, 0.2, 1.0, seed) for seed in SEEDS], examples, "cpu")
    own_parts = samples.first(parts, list(SEEDS), options.labels)
    for end in rung.train([own] * len(SEEDS), list(SEEDS), own_parts, "cpu", lambda: None):
        ratios = "" if end.fitted else f", gradient {end.gradient_ratio:.1e}, curvature {end.curvature_ratio:.4f}"
        print(f"fitted {end.fitted}, settled {end.settled}, {end.steps} steps, loss {end.loss:.4f}{ratios}", flush=True)


def kinks(options: argparse.Namespace) -> None:
    examples = load(config(options).data)
    for seed in SEEDS:
        part = samples.stacked([samples.pool(examples, 0.2, 1.0, seed)], examples, "cpu")["train"]
        inputs, labels = part.chunk(0, options.labels)[0].double(), part.labels[0, : options.labels]
        network = config(options).model.build(tuple(inputs.shape[1:]), part.num_classes, Streams(seed).torch("init"))
        print(_descend(network.double(), inputs, labels), flush=True)


def _descend(network: nn.Module, inputs: Tensor, labels: Tensor) -> str:
    weights = list(network.parameters())

    def loss() -> Tensor:
        return nn.functional.cross_entropy(network(inputs), labels)

    def closure() -> Tensor:
        search.zero_grad()
        value = loss()
        value.backward()
        return value

    begun = _length(torch.autograd.grad(loss(), weights))
    search: torch.optim.Optimizer = torch.optim.Adam(weights, lr=0.01)
    falling = torch.optim.lr_scheduler.LinearLR(search, 1.0, 0.0, total_iters=1000)
    for _ in range(1000):
        search.step(closure)
        falling.step()
    settings = {"max_iter": 2000, "max_eval": 8000, "history_size": 50, "tolerance_grad": 1e-12, "tolerance_change": 0}
    search = torch.optim.LBFGS(weights, line_search_fn="strong_wolfe", **settings)
    search.step(closure)
    gradient = torch.autograd.grad(loss(), weights)
    zeros = _zeros(network, inputs)
    shares = " ".join(f"{share:+.2f}" for share in _along(loss, weights, gradient))
    return f"loss {loss():.4f}, gradient {_length(gradient) / begun:.1e}, {zeros} at 0, strides 1e-3 to 1e-8: {shares}"


def _length(gradient: tuple[Tensor, ...]) -> float:
    return float(torch.cat([part.flatten() for part in gradient]).norm())


def _along(loss: object, weights: list[nn.Parameter], gradient: tuple[Tensor, ...]) -> list[float]:
    """What the loss changes by over what it would if it were straight: -1 where it has a derivative."""
    assert callable(loss)
    length, begun, before = _length(gradient), [w.detach().clone() for w in weights], float(loss())
    changes = []
    with torch.no_grad():
        for stride in STRIDES:
            for weight, start, slope in zip(weights, begun, gradient, strict=True):
                weight.copy_(start - stride / length * slope)
            changes.append((float(loss()) - before) / (stride * length))
        for weight, start in zip(weights, begun, strict=True):
            weight.copy_(start)
    return changes


def _zeros(network: nn.Module, inputs: Tensor) -> int:
    """Inputs of activations that are 0, of all examples and units."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)][:-1]
    found: list[int] = []
    hooks = [
        one.register_forward_hook(lambda _, __, out: found.append(int((out.abs() < 1e-7).sum()))) for one in layers
    ]
    network(inputs)
    for hook in hooks:
        hook.remove()
    return sum(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["steps", "kinks"])
    parser.add_argument("--labels", type=int, default=280)
    parser.add_argument("--updates", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=0.015)
    parser.add_argument("--activation", default="relu")
    chosen = parser.parse_args()
    {"steps": steps, "kinks": kinks}[chosen.what](chosen)

"""Fits the classifiers of a cohort by minibatch gradient descent, all in one go.

A member walks through its own examples in its own order, with its own learning rate and so on, and ends up where it
would have ended up alone. One member may also be shared by several workers, each with a part of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torch.nn import functional

from trainables.training import draws
from trainables.training.examples import Batch, StackedPart
from trainables.training.layers import Dropout, give_streams, scale_weights
from trainables.training.members import Configs, Path
from trainables.training.recipe import Recipe
from trainables.training.stacking import Network, Stack, each

R = TypeVar("R", bound=Recipe)

LEARNING_RATE: Path = ("optimizer", "lr")
Number = float | Float[Tensor, ""]
"""A field of a config, which is a tensor where the members of the cohort differ."""


class Fit(Generic[R]):
    """The networks of a cohort on their way."""

    def __init__(
        self,
        configs: Sequence[R],
        networks: Sequence[nn.Module],
        train: StackedPart,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        worker: tuple[int, int] = (0, 1),
    ) -> None:
        """The networks become part of the fit.

        ``worker`` is rank and world size; with several there is one member, and torch.distributed is up.
        """
        assert len(networks) == 1 or worker[1] == 1, "a cohort has one worker"
        self.recipe = configs[0]
        for network, config, seed in zip(networks, configs, seeds, strict=True):
            give_streams(network, seed)
            scale_weights(network, config.init_scale)
        self.stack, self.train = Stack(networks, device, compiles=self.recipe.compile), train
        self.steps_per_epoch = -(-train.count // self.recipe.batch_size)
        self.configs = Configs(configs, device)
        self._rates = _learning_rates(configs, self.steps_per_epoch, device)
        self._keys = {name: _keys(seeds, name, device) for name in ("order", "augmentation")}
        self.epochs = dict.fromkeys(range(len(networks)), 0)  # by the number that each member had at the start
        self._steps = torch.zeros(len(networks), dtype=torch.int64, device=device)
        begun = each(self._start, self.stack.parameters, self.configs.values)
        self._state: dict[str, Tensor] = {name: value.clone() for name, value in begun.items()}  # some may be one tensor
        self._rank, self._world_size = worker
        self._smooths = any(config.label_smoothing for config in configs)
        self._gradient = torch.full_like(self.stack.parameters, torch.nan)
        self._clips = any(config.clip_norm for config in configs)
        self._losses: dict[tuple[int, int], Callable[..., Float[Tensor, ""]]] = {}

    def __len__(self) -> int:
        return len(self.stack)

    def run_epoch(self, pulse: Callable[[], None] = lambda: None) -> None:
        """One pass of every member over its training examples, in a fresh random order. ``pulse`` follows each step."""
        order = each(self._order, self._keys["order"], self._steps // self.steps_per_epoch)
        size = self.recipe.batch_size
        for batch, rates in zip(self.train.batches(order, size, self._mine), self._rates_of_epoch(), strict=True):
            self._run_step(batch, rates)
            pulse()
        self.epochs = {number: epoch + 1 for number, epoch in self.epochs.items()}

    def _order(self, key: draws.Key, epoch: Int[Tensor, ""]) -> Int[Tensor, " examples"]:
        return draws.permutation(key, epoch, self.train.count)

    def _mine(self, num_rows: int) -> slice:
        """The rows of a batch that this worker takes."""
        return share(num_rows, self._rank, self._world_size)

    def _rates_of_epoch(self) -> tuple[Float[Tensor, " members"], ...]:
        """The learning rates of each step to come."""
        at = self._steps[:, None] + torch.arange(self.steps_per_epoch, device=self._steps.device)
        return self._rates.gather(1, at).unbind(1)

    def _run_step(self, batch: Batch, rates: Float[Tensor, " members"]) -> None:
        values = {**self.configs.values, LEARNING_RATE: rates}
        self._place_in_batch(batch.first_row)
        loss = self._losses.setdefault((batch.size, batch.first_row), self._loss(batch.size, batch.first_row))
        own = (values, batch.inputs, batch.labels, self._keys["augmentation"], self._steps)
        gradient = self.stack.gradient(loss, self.stack.parameters, *own)
        self._take_step(self._summed(gradient), values)

    def _loss(self, size: int, first_row: int) -> Callable[..., Float[Tensor, ""]]:
        """The loss of one member on its batch of ``size``, of which this worker has the rows from ``first_row`` on."""

        def loss(network: Network, values: Any, inputs: Tensor, labels: Tensor, key: Tensor, step: Tensor) -> Tensor:
            config = self.configs.bind(values)
            targets = smoothed(labels, config.label_smoothing, self.train.num_classes) if self._smooths else labels
            inputs, targets = config.augmentation.apply(inputs, targets, draws.Draw(key, step, first_row))
            with self._precision():
                logits = network(inputs)
            return config.loss.of(logits.float(), targets).sum() / size

        return loss

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self._steps.device.type, torch.bfloat16)

    def _place_in_batch(self, first_row: int) -> None:
        for layer in self.stack.modules() if self._world_size > 1 else ():
            if isinstance(layer, Dropout):
                layer.first_row = first_row

    def _summed(self, gradient: Tensor) -> Tensor:
        if self._world_size > 1:
            distributed.all_reduce(gradient)
        return gradient

    @torch.no_grad()
    def _take_step(self, gradient: Float[Tensor, "members parameters"], values: Mapping[Path, Tensor]) -> None:
        arguments = (gradient, self.stack.parameters, self._state, dict(values))
        self.stack.parameters, self._state = each(self._update, *arguments)
        self._steps = self._steps + 1
        self._gradient = gradient

    def _update(
        self, gradient: Tensor, parameters: Tensor, state: dict[str, Tensor], values: Mapping[Path, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.configs.bind(values)
        gradient = clipped(gradient, config.clip_norm) if self._clips else gradient
        return config.optimizer.update(gradient, parameters, state, self.stack.layout)

    def _start(self, parameters: Tensor, values: Mapping[Path, Tensor]) -> dict[str, Tensor]:
        return self.configs.bind(values).optimizer.start(parameters, self.stack.layout)

    @property
    def gradient_norm(self) -> Float[Tensor, " members"]:
        """Of the last step, over the whole batch; before clipping, without weight decay."""
        return torch.linalg.vector_norm(self._gradient, dim=1)

    # --- members come and go ------------------------------------------------------------------------------------------

    def places(self, numbers: Sequence[int]) -> Int[Tensor, " numbers"]:
        """Where these members are in the stack."""
        known = list(self.epochs)
        return torch.tensor([known.index(number) for number in numbers], device=self._steps.device)

    def keep(self, numbers: Sequence[int], train: StackedPart) -> None:
        """Drop all other members, so that these have less to wait for. ``train`` is what is left of the examples."""
        places = self.places(numbers)
        self.epochs = {number: self.epochs[number] for number in numbers}
        self.train = train
        self.stack.keep(places)
        self.configs.values = {path: value[places] for path, value in self.configs.values.items()}
        self._rates, self._steps = self._rates[places], self._steps[places]
        self._keys = {name: key[places] for name, key in self._keys.items()}
        self._state = {name: value[places] for name, value in self._state.items()}

    def state(self, number: int) -> dict[str, Any]:
        """All that a member needs to go on, in whatever cohort."""
        place = list(self.epochs).index(number)
        optimizer = {name: value[place].clone() for name, value in self._state.items()}
        return {"network": self.stack.state(place), "optimizer": optimizer, "epoch": self.epochs[number]}

    def load_state(self, number: int, state: Mapping[str, Any]) -> None:
        place = list(self.epochs).index(number)
        self.stack.load_state(place, state["network"])
        for name, value in self._state.items():
            value[place] = state["optimizer"][name]
        self.epochs[number] = state["epoch"]
        self._steps[place] = state["epoch"] * self.steps_per_epoch

    def predict(self, part: StackedPart, most: int = 2**16) -> Float[Tensor, "members examples classes"]:
        """The logits of the networks at rest (no dropout), computed for about ``most`` examples at a time."""
        size = max(1, most // len(self))
        chunks = [part.chunk(start, start + size) for start in range(0, part.count, size)]
        return torch.cat([self.stack.evaluate(_logits, inputs) for inputs in chunks], dim=1)


def _logits(network: Network, inputs: Tensor) -> Tensor:
    return network(inputs)


def _learning_rates(configs: Sequence[Recipe], steps_per_epoch: int, device: str) -> Float[Tensor, "members steps"]:
    """Of each member in each step."""
    total = configs[0].epochs * steps_per_epoch
    factors = {s: [s.factor(step, total) for step in range(total)] for s in {c.schedule for c in configs}}
    peaks = torch.tensor([[c.optimizer.lr] for c in configs], dtype=torch.float64)
    return (peaks * torch.tensor([factors[c.schedule] for c in configs], dtype=torch.float64)).to(device)


def _keys(seeds: Sequence[int], name: str, device: str) -> Int[Tensor, " members"]:
    return torch.stack([draws.key_of(seed, name) for seed in seeds]).to(device)


def smoothed(labels: Int[Tensor, " batch"], share: Number, num_classes: int) -> Float[Tensor, "batch classes"]:
    """Targets of which a share is spread evenly over all classes."""
    return (1 - share) * functional.one_hot(labels, num_classes).float() + share / num_classes


def clipped(gradient: Float[Tensor, " n"], longest: Number) -> Float[Tensor, " n"]:
    """The gradient, shortened to a norm of ``longest`` unless that is 0."""
    norm = torch.linalg.vector_norm(gradient)
    bound = torch.as_tensor(longest, dtype=norm.dtype, device=norm.device)
    return gradient * torch.where((bound > 0) & (norm > bound), bound / norm, 1.0)


def share(num_rows: int, rank: int, world_size: int) -> slice:
    """The rows of a batch that one worker takes: shares differ by at most one row."""
    return slice(num_rows * rank // world_size, num_rows * (rank + 1) // world_size)

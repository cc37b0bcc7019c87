"""Fits the classifiers of a cohort by minibatch gradient descent, all in one go.

A member walks through its own examples in its own order, with its own learning rate and so on, and ends up where it
would have ended up alone. One member may also be shared by several workers, each with a part of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torch.utils._pytree import tree_map

from trainables.training import draws
from trainables.training.augmentations import HiddenAugmentationConfig
from trainables.training.averages import none as last_weights
from trainables.training.examples import Batch, StackedPart
from trainables.training.hidden import num_layers, through
from trainables.training.initialising import initialise
from trainables.training.layers import Dropout, give_streams, scale_weights
from trainables.training.losses import RememberingLossConfig, probabilities
from trainables.training.members import Configs, Path
from trainables.training.recipe import Recipe
from trainables.training.recording import Recorded
from trainables.training.regularisers import none as unregularised
from trainables.training.stacking import Network, Stack, Tensors, each

R = TypeVar("R", bound=Recipe)

LEARNING_RATE: Path = ("optimizer", "lr")
_STREAMS = ("order", "augmentation", "gradient noise")
Gradient = Callable[[Tensor, Tensors, tuple[Any, ...]], Tensor]
"""From parameters, buffers, and what else the loss is given."""

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
        initialise(networks, configs, train, seeds)
        self.stack, self.train = Stack(networks, device, compiles=self.recipe.compile), train
        self.steps_per_epoch = -(-train.count // self.recipe.batch_size)
        self.configs = Configs(configs, device)
        self._rates = _learning_rates(configs, self.steps_per_epoch, device)
        self._keys = {name: _keys(seeds, name, device) for name in _STREAMS}
        self.epochs = dict.fromkeys(range(len(networks)), 0)  # by the number that each member had at the start
        self._steps = torch.zeros(len(networks), dtype=torch.int64, device=device)
        begun = each(self._start, self.stack.parameters, self.configs.values)
        # some may be one tensor
        self._state: dict[str, Tensor] = {name: value.clone() for name, value in begun.items()}
        self._rank, self._world_size = worker
        self._agree()  # an initialisation may round otherwise on another device
        self._kept = self._begun(device)
        self._mixes = self.recipe.augmentation.mixes or any(config.label_smoothing for config in configs)
        self._penalises = not isinstance(self.recipe.regulariser, unregularised.Config)
        self._noisy = any(config.gradient_noise for config in configs)
        self._gradient = torch.full_like(self.stack.parameters, torch.nan)
        self._clips = any(config.clip_norm for config in configs)
        self._gradients: dict[tuple[int, int], Gradient] = {}
        self._updates = self._recorded(partial(each, self._update))

    def _begun(self, device: str) -> dict[str, Tensor]:
        """What members have beside weights and the state of the optimizer, by name."""
        kept, loss = {}, self.recipe.loss
        if not isinstance(self.recipe.average, last_weights.Config):
            kept["average"] = self.stack.parameters.clone()
        if isinstance(loss, RememberingLossConfig):
            kept["memory"] = loss.start(self.train.count, self.train.num_classes).to(device).repeat(len(self), 1, 1)
        return kept

    def __len__(self) -> int:
        return len(self.stack)

    def run_epoch(
        self, pulse: Callable[[], None] = lambda: None, after: Callable[[Batch], None] = lambda _batch: None
    ) -> None:
        """One pass of every member over its training examples, in a fresh random order.

        ``after`` and ``pulse`` follow each step; ``after`` may change the weights.
        """
        order = each(self._order, self._keys["order"], self._steps // self.steps_per_epoch)
        size = self.recipe.batch_size
        for batch, rates in zip(self.train.batches(order, size, self._mine), self._rates_of_epoch(), strict=True):
            self._run_step(batch, rates)
            after(batch)
            pulse()
        self.epochs = {number: epoch + 1 for number, epoch in self.epochs.items()}
        self._agree()

    def _agree(self) -> None:
        """All workers take the weights and the running statistics of the first, which saw other rows of each batch."""
        for tensor in (self.stack.parameters, *self.stack.buffers.values()) if self._world_size > 1 else ():
            distributed.broadcast(tensor, 0)

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
        at = (batch.size, batch.first_row)
        if at not in self._gradients:
            self._gradients[at] = self._recorded(partial(self._gradient_with, self._loss(*at)))
        memory = self._recalled(batch)
        own = (values, batch.inputs, batch.labels, self._keys["augmentation"], self._steps, memory)
        gradient = self._gradient_of(self._gradients[at], own)
        self._remember(batch, memory)
        self._take_step(gradient, values)

    def _recorded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Quicker where it is called often. Workers tell their layers the rows of each batch, which no tensor shows."""
        return function if self.recipe.compile or self._world_size > 1 else Recorded(function)

    def _gradient_with(
        self, loss: Callable[..., Tensor], at: Tensor, buffers: Tensors, own: tuple[Any, ...]
    ) -> Float[Tensor, "members parameters"]:
        return self.stack.gradient(loss, at, *own, buffers=buffers)

    def _gradient_of(self, gradient_at: Gradient, own: tuple[Any, ...]) -> Float[Tensor, "members parameters"]:
        """Where the perturbation takes it. What the first gradient changes on its way, the others change in copies."""
        moves, begun, buffers = self.recipe.perturbation.moves, self.stack.parameters, self.stack.buffers_in_use()
        before = [tree_map(Tensor.clone, (buffers, own)) for _ in range(moves)]
        at, gradient = begun, self._summed(gradient_at(begun, buffers, own))
        for copies, again in before:
            at = each(self._moved, gradient, at, begun, own[0])
            gradient = self._summed(gradient_at(at, copies, again))
        return gradient

    def _moved(self, gradient: Tensor, at: Tensor, begun: Tensor, values: Mapping[Path, Tensor]) -> Tensor:
        return self.configs.bind(values).perturbation.move(gradient, at, begun, self.stack.layout)

    def _recalled(self, batch: Batch) -> dict[str, Tensor]:
        """What the loss remembers of the examples of a batch, if it does; it is changed by the loss."""
        if "memory" not in self._kept:
            return {}
        places = batch.places[:, batch.rows, None]
        return {"memory": self._kept["memory"].take_along_dim(places, 1)}

    def _remember(self, batch: Batch, memory: Mapping[str, Tensor]) -> None:
        """Keep what the loss remembers now, of the examples of all workers."""
        for name, own in memory.items():
            whole = own.new_zeros(len(self), batch.size, own.shape[2])
            whole[:, batch.rows] = own
            places = batch.places[..., None].expand_as(whole)
            self._kept[name] = self._kept[name].scatter(1, places, self._summed(whole))

    def _loss(self, size: int, first_row: int) -> Callable[..., Float[Tensor, ""]]:
        """The loss of one member on its batch of ``size``, of which this worker has the rows from ``first_row`` on."""

        def loss(network: nn.Module, values: Any, inputs: Tensor, labels: Tensor, *own: Any) -> Tensor:
            (key, step, memory), config = own, self.configs.bind(values)
            targets = smoothed(labels, config.label_smoothing, self.train.num_classes) if self._mixes else labels
            seen, inputs, targets = _augmented(config, network, inputs, targets, draws.Draw(key, step, first_row))
            logits, targets = self._passed(seen, inputs, targets)
            mean = _losses(config.loss, logits, targets, memory, self.passes).sum() / (size * self.passes)
            if not self._penalises or not len(labels):
                return mean
            penalty = config.regulariser.penalty(dict(network.named_parameters()), logits, targets)
            return mean + penalty * (len(labels) / size)  # the shares of all workers add up to one

        return loss

    @property
    def passes(self) -> int:
        """How often a batch goes through the network in a step."""
        return self.recipe.regulariser.passes

    def _passed(self, network: Network, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and targets of all passes, one below the other."""
        with self._precision():
            logits = [network(inputs).float() for _ in range(self.passes)]
        return (logits[0], targets) if self.passes == 1 else (torch.cat(logits), torch.cat([targets] * self.passes))

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
        self._gradient = gradient
        if self._noisy:
            gradient = each(self._with_noise, gradient, dict(values), self._keys["gradient noise"], self._steps)
        arguments = (gradient, self.stack.parameters, self._state, dict(values))
        self.stack.parameters, self._state = self._updates(*arguments)
        if "average" in self._kept:
            weights = (self._kept["average"], self.stack.parameters)
            self._kept["average"] = each(self._averaged, *weights, dict(values), self._steps)
        self._steps = self._steps + 1

    def _with_noise(self, gradient: Tensor, values: Mapping[Path, Tensor], key: Tensor, step: Tensor) -> Tensor:
        config = self.configs.bind(values)
        variance = config.gradient_noise / (1 + step.double()) ** config.gradient_noise_decay
        return gradient + variance.sqrt() * draws.normal(key, step, gradient.shape)

    def _averaged(self, average: Tensor, parameters: Tensor, values: Mapping[Path, Tensor], step: Tensor) -> Tensor:
        total = self.recipe.epochs * self.steps_per_epoch
        return self.configs.bind(values).average.update(average, parameters, step, total)

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
        """Of the last step, over the whole batch; before noise and clipping, without weight decay."""
        return torch.linalg.vector_norm(self._gradient, dim=1)

    @property
    def memory(self) -> Float[Tensor, "members examples remembered"]:
        """What a loss that remembers has kept of each training example."""
        return self._kept["memory"]

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
        self._kept = {name: value[places] for name, value in self._kept.items()}

    def state(self, number: int) -> dict[str, Any]:
        """All that a member needs to go on, in whatever cohort."""
        place = list(self.epochs).index(number)
        optimizer, kept = ({n: value[place].clone() for n, value in of.items()} for of in (self._state, self._kept))
        return {"network": self.stack.state(place), "optimizer": optimizer, "epoch": self.epochs[number], **kept}

    def load_state(self, number: int, state: Mapping[str, Any]) -> None:
        place = list(self.epochs).index(number)
        self.stack.load_state(place, state["network"])
        for name, value in self._state.items():
            value[place] = state["optimizer"][name]
        for name, value in self._kept.items():
            value[place] = state[name]
        self.epochs[number] = state["epoch"]
        self._steps[place] = state["epoch"] * self.steps_per_epoch

    def predict(self, part: StackedPart, most: int = 2**16) -> Float[Tensor, "members examples classes"]:
        """The logits of the networks at rest (no dropout), computed for about ``most`` examples at a time."""
        size = max(1, most // len(self))
        return torch.cat([self.logits(part.chunk(at, at + size)) for at in range(0, part.count, size)], dim=1)

    def logits(self, inputs: Float[Tensor, "members examples ..."]) -> Float[Tensor, "members examples classes"]:
        """Of inputs that each member has for itself, scaled as it scales its own; the networks are at rest.

        They have the average of their weights, if the recipe takes one, and the running statistics of the last weights.
        """
        return self.stack.evaluate(_logits, inputs, parameters=self._kept.get("average"))


def _logits(network: nn.Module, inputs: Tensor) -> Tensor:
    return network(inputs)


def _augmented(
    config: Recipe, network: nn.Module, inputs: Tensor, targets: Tensor, draw: draws.Draw
) -> tuple[Network, Tensor, Tensor]:
    """The network, inputs and targets of a training step."""
    if not isinstance(config.augmentation, HiddenAugmentationConfig):
        return network, *config.augmentation.apply(inputs, targets, draw)
    change, targets = config.augmentation.within(inputs, targets, draw, num_layers(network))
    return partial(through, network, change=change), inputs, targets


def _losses(
    loss: Any, logits: Tensor, targets: Tensor, memory: Mapping[str, Tensor], passes: int
) -> Float[Tensor, " rows"]:
    """Of each example in each pass. A loss that remembers changes the memory, to the mean of all passes."""
    if not memory:
        return loss.of(logits, targets)
    losses, remembered = loss.recall(logits, targets, memory["memory"].repeat(passes, 1))
    memory["memory"].copy_(
        remembered if passes == 1 else remembered.unflatten(0, (passes, len(memory["memory"]))).mean(0)
    )
    return losses


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
    return (1 - share) * probabilities(labels, num_classes) + share / num_classes


def clipped(gradient: Float[Tensor, " n"], longest: Number) -> Float[Tensor, " n"]:
    """The gradient, shortened to a norm of ``longest`` unless that is 0."""
    norm = torch.linalg.vector_norm(gradient)
    bound = torch.as_tensor(longest, dtype=norm.dtype, device=norm.device)
    return gradient * torch.where((bound > 0) & (norm > bound), bound / norm, 1.0)


def share(num_rows: int, rank: int, world_size: int) -> slice:
    """The rows of a batch that one worker takes: shares differ by at most one row."""
    return slice(num_rows * rank // world_size, num_rows * (rank + 1) // world_size)

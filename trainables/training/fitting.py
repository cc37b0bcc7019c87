"""Fits a classifier by minibatch gradient descent, on one worker or on several that share each batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from trainables.training.layers import Noise
from trainables.training.partition import Part


@dataclass(frozen=True, eq=False)
class Labelled:
    """A part of a data set, on the device."""

    inputs: Float[Tensor, "examples ..."]
    labels: Int[Tensor, " examples"]

    @classmethod
    def place(cls, part: Part, device: str) -> Labelled:
        return cls(torch.from_numpy(part.inputs).to(device), torch.from_numpy(part.labels).to(device))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to fit. ``batch_size`` counts the examples of a step over all workers."""

    batch_size: int
    epochs: int
    schedule: Callable[[int, int], float]
    """What the learning rate is multiplied by, given the step, from 0, and the number of steps."""
    label_smoothing: float = 0.0

    def steps_per_epoch(self, num_examples: int) -> int:
        return -(-num_examples // self.batch_size)


class Fit:
    """A model on its way. All workers hold the same weights and walk through the same order of examples."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        recipe: Recipe,
        train: Labelled,
        order: torch.Generator,
        noise: Noise,
        worker: tuple[int, int] = (0, 1),
    ) -> None:
        """``worker`` is rank and world size; with several, torch.distributed is up."""
        self.model, self.optimizer, self.recipe, self.train = model, optimizer, recipe, train
        self.order, self.noise = order, noise
        self.rank, self.world_size = worker
        self.epoch = self.step = 0
        self._peaks = [group["lr"] for group in optimizer.param_groups]
        self._total = recipe.epochs * recipe.steps_per_epoch(len(train.labels))
        self._shared = DistributedDataParallel(model) if self.world_size > 1 else model

    def run_epoch(self) -> None:
        """One pass over the training examples in a fresh random order."""
        self.model.train()
        order = torch.randperm(len(self.train.labels), generator=self.order).to(self.train.labels.device)
        for batch in order.split(self.recipe.batch_size):
            self._run_step(batch)
        self.epoch += 1

    def _run_step(self, batch: Int[Tensor, " rows"]) -> None:
        mine = share(len(batch), self.rank, self.world_size)
        self.noise.share(len(batch), mine)
        rows = batch[mine]
        loss = functional.cross_entropy(
            self._shared(self.train.inputs[rows]),
            self.train.labels[rows],
            label_smoothing=self.recipe.label_smoothing,
            reduction="sum",
        )
        self.optimizer.zero_grad()
        # Gradients are averaged over the workers; this makes them those of the mean over the whole batch.
        (loss * (self.world_size / len(batch))).backward()
        factor = self.recipe.schedule(self.step, self._total)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.step()
        self.step += 1

    def gradients(self) -> list[Tensor]:
        """Of the last step, over the whole batch; none before the first."""
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def state(self) -> dict[str, Any]:
        weights, optimizer = self.model.state_dict(), self.optimizer.state_dict()
        return {"model": weights, "optimizer": optimizer, "epoch": self.epoch, "step": self.step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]


def share(num_rows: int, rank: int, world_size: int) -> slice:
    """The rows of a batch that one worker takes: shares differ by at most one row."""
    return slice(num_rows * rank // world_size, num_rows * (rank + 1) // world_size)


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Float[Tensor, "examples ..."], chunk: int = 4096
) -> Float[Tensor, "examples classes"]:
    """The logits of the model at rest (no dropout)."""
    model.eval()
    return torch.cat([model(part) for part in inputs.split(chunk)])

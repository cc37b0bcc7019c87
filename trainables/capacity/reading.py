"""A cohort of language models on its way: trained at all positions of a sequence, measured with their attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trainables.api import Metrics, Trial
from trainables.capacity.language import Config
from trainables.models import transformer
from trainables.training.beginning import parts
from trainables.training.examples import StackedPart
from trainables.training.fitting import Fit
from trainables.training.losses import RememberingLossConfig
from trainables.training.sequences import Scores

_MOST_SEQUENCES = 256  # of each member at a time
_NO_NUMBER = 38.0  # about the largest exponent of float32


class NextToken(Fit[Config]):
    """Fits the token after each position; the one after the last is the class of a sequence."""

    def _loss(self, size: int, first_row: int) -> Callable[..., Float[Tensor, ""]]:  # noqa: ARG002
        def loss(network: nn.Module, values: Any, inputs: Tensor, labels: Tensor, *_own: Any) -> Tensor:
            config = self.configs.bind(values)
            logits, targets = self._passed(network, inputs, following(inputs, labels))
            logits, targets = logits.flatten(0, 1), targets.flatten()
            assert not isinstance(config.loss, RememberingLossConfig), "its config refuses them"
            mean = config.loss.of(logits, targets).sum() / (size * inputs.shape[1] * self.passes)
            penalty = config.regulariser.penalty(dict(network.named_parameters()), logits, targets)
            return mean + penalty * (len(labels) / size)

        return loss


def following(inputs: Float[Tensor, "batch length"], labels: Int[Tensor, " batch"]) -> Int[Tensor, "batch length"]:
    """The token after each position."""
    return torch.cat([inputs[:, 1:].long(), labels[:, None]], dim=1)


def read(
    network: nn.Module, inputs: Float[Tensor, "batch length"], labels: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The sum of the losses at all positions, and the largest logit of attention."""
    largest: list[Tensor] = []

    def see(_layer: nn.Module, _inputs: object, scores: Tensor) -> None:
        largest.append(scores.amax())

    hooks = [layer.register_forward_hook(see) for layer in network.modules() if isinstance(layer, Scores)]
    try:
        logits = network(inputs).flatten(0, 1)
    finally:
        for hook in hooks:
            hook.remove()
    losses = nn.functional.cross_entropy(logits, following(inputs, labels).flatten(), reduction="sum")
    return losses, torch.stack(largest).amax()


class Reading:
    """Members are known by their place in what ``run`` was given."""

    def __init__(self, configs: Sequence[Config], trials: Sequence[Trial]) -> None:
        self._config, self._trials = configs[0], trials
        self._parts = parts(configs, trials)
        self.fit = _begin(configs, trials, self._parts["train"])
        untrained, _ = self._losses()
        kept = [trial.restored["untrained"] if trial.restored else None for trial in trials]
        self._untrained = [dict(own or untrained[n]) for n, own in enumerate(kept)]

    def goes_on(self) -> bool:
        """Let go of the members that have ended; whether any is left."""
        going = [n for n, epoch in self.fit.epochs.items() if self._trials[n].wanted and epoch < self._config.epochs]
        if going and len(going) < len(self.fit):
            places = self.fit.places(going)
            self._parts = {name: part.keep(places) for name, part in self._parts.items()}
            self.fit.keep(going, self._parts["train"])
        return bool(going)

    def measure(self) -> dict[int, Metrics]:
        """The metrics of each member, whose state is offered."""
        losses, largest = self._losses()
        return {n: self._report(n, losses[k], largest[k]) for k, n in enumerate(self.fit.epochs)}

    def _losses(self) -> tuple[list[dict[str, float]], list[float]]:
        """Of each member, the mean loss on each part, and the largest logit of attention on the validation part."""
        means, largest = {}, {}
        for name in ("validation", "test"):
            part = self._parts[name]
            starts = range(0, part.count, _MOST_SEQUENCES)
            sums, tops = zip(*(self._chunk(part, start) for start in starts), strict=True)
            means[name] = (torch.stack(sums).sum(0) / (part.count * part.inputs.shape[1])).tolist()
            largest[name] = torch.stack(tops).amax(0).tolist()
        return [{name: own[k] for name, own in means.items()} for k in range(len(self.fit))], largest["validation"]

    def _chunk(self, part: StackedPart, start: int) -> tuple[Tensor, Tensor]:
        stop = start + _MOST_SEQUENCES
        return self.fit.stack.evaluate(read, part.chunk(start, stop), part.labels[:, start:stop])

    def _report(self, number: int, losses: Mapping[str, float], largest: float) -> Metrics:
        trial, epoch = self._trials[number], self.fit.epochs[number]
        trial.checkpoint(partial(self._state, number))
        if epoch == self._config.epochs:
            trial.finish()
        capped = {f"loss/{name}": _capped(loss, self._untrained[number][name]) for name, loss in losses.items()}
        logit = math.log10(max(largest, 1.0)) if math.isfinite(largest) else _NO_NUMBER
        step, size = epoch * self.fit.steps_per_epoch, float(self.fit.stack.parameters.shape[1])
        return {"step": step, **capped, "attention_logit": logit, "parameters": size}

    def _state(self, number: int) -> dict[str, Any]:
        return {"fit": self.fit.state(number), "untrained": dict(self._untrained[number])}


def _capped(loss: float, most: float) -> float:
    return min(loss, most) if math.isfinite(loss) else most


def _begin(configs: Sequence[Config], trials: Sequence[Trial], train: StackedPart) -> NextToken:
    shape = tuple(train.inputs.shape[1:])
    networks = [_network(*pair, shape, train.num_classes) for pair in zip(configs, trials, strict=True)]
    fit = NextToken(configs, networks, train, [trial.seed for trial in trials], device=trials[0].device)
    for number, trial in enumerate(trials):
        if trial.restored:
            fit.load_state(number, trial.restored["fit"])
    return fit


def _network(config: Config, trial: Trial, shape: tuple[int, ...], num_tokens: int) -> nn.Module:
    assert isinstance(config.model, transformer.Config), "its config refuses others"
    return config.model.build_each(shape, num_tokens, trial.streams.torch("init"))

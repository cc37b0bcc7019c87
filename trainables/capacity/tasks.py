"""A cohort that learns task after task: the same examples, each time with their features in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from trainables.api import Metrics, Trial
from trainables.capacity.plasticity import Config, Watched
from trainables.capacity.renewal import Standing, chosen, fresh_rows, judged, newcomers, renewed, usual
from trainables.capacity.units import Activities, activities, dead_share, effective_rank, idle_units, recycled
from trainables.models import mlp
from trainables.seeding import stream_seed
from trainables.training import draws
from trainables.training.activations import gain
from trainables.training.beginning import begin, parts
from trainables.training.examples import Batch, StackedPart
from trainables.training.fitting import Fit
from trainables.training.members import Configs
from trainables.training.recording import Recorded
from trainables.training.stacking import each


class Tasks:
    """A cohort on its way. Members are known by their place in what ``run`` was given."""

    def __init__(self, configs: Sequence[Config], trials: Sequence[Trial]) -> None:
        self._configs = [replace(config, loss=Watched(inner=config.loss)) for config in configs]
        self._trials = trials
        self._part = parts(configs, trials)["train"]
        self._seeds = [trial.seed for trial in trials]
        self._past: list[list[float]] = [list(t.restored["past"]) if t.restored else [] for t in trials]
        self.fit = begin(self._configs, self._configs, trials, _flat(self._part))
        self._members = Configs(self._configs, trials[0].device)
        self._layers = [name for name, layer in self.fit.stack.named_layers() if isinstance(layer, nn.Linear)]
        self._keys = torch.stack([draws.key_of(seed, "renewal") for seed in self._seeds]).to(trials[0].device)
        self._standing = self._begun()
        self._renewals = Recorded(partial(each, self._renewed))
        self._changes = [bool(c.remedy.shrink or c.remedy.perturb or c.remedy.recycle_below) for c in configs]

    def goes_on(self) -> bool:
        """Let go of the members that have ended; whether any is left."""
        going = [n for n, task in self.fit.epochs.items() if self._trials[n].wanted and task < self._configs[0].epochs]
        if going and len(going) < len(self.fit):
            places = self.fit.places(going)
            self._part = self._part.keep(places)
            self._members.values = {path: value[places] for path, value in self._members.values.items()}
            self._keys, self._standing = self._keys[places], {n: t[places] for n, t in self._standing.items()}
            self.fit.keep(going, self.fit.train.keep(places))
        return bool(going)

    def learn(self) -> None:
        """One task: remedies between tasks, unless it is the first, then one pass over the examples."""
        if any(self._changes[number] for number in self.fit.epochs):
            self._mend()
        self.fit.train = self._task()
        renews = any(self._configs[number].remedy.replace for number in self.fit.epochs)
        self.fit.run_epoch(self._trials[0].pulse, *([self._renew] if renews else []))
        for number, right in zip(self.fit.epochs, self._online(self.fit), strict=True):
            self._past[number].append(right)

    def _task(self) -> StackedPart:
        """The examples of each member's next task."""
        part, features = _flat(self._part), self._part.inputs[0].numel()
        orders = [
            draws.permutation(draws.key_of(self._seeds[number], "features"), torch.tensor(task), features)
            for number, task in self.fit.epochs.items()
        ]
        order = torch.stack(orders).to(part.inputs.device)[:, None].expand(-1, part.count, -1)
        return replace(part, inputs=part.inputs.view(order.shape).gather(2, order).flatten(0, 1))

    @staticmethod
    def _online(fit: Fit[Any]) -> list[float]:
        return fit.memory.mean((1, 2)).tolist()

    def _mend(self) -> None:
        """Change the weights of those whose config asks for it and who have learnt something."""
        learnt = torch.tensor([task > 0 for task in self.fit.epochs.values()], device=self.fit.stack.parameters.device)
        idle = self._idle()
        arguments = (self.fit.stack.parameters, self._fresh("remedy").stack.parameters, idle, self._members.values)
        mended = each(self._mended, *arguments)
        self.fit.stack.parameters = torch.where(learnt[:, None], mended, self.fit.stack.parameters)

    def _idle(self) -> tuple[Bool[Tensor, "members units"], ...]:
        return each(self._idle_of, self._activities(), self._members.values)

    def _idle_of(self, found: Activities, values: Mapping[Any, Tensor]) -> tuple[Bool[Tensor, " units"], ...]:
        return idle_units(found, self._members.bind(values).remedy.recycle_below)

    def _mended(self, row: Tensor, fresh: Tensor, idle: tuple[Tensor, ...], values: Mapping[Any, Tensor]) -> Tensor:
        remedy, layout = self._members.bind(values).remedy, self.fit.stack.layout
        if any(config.remedy.recycle_below for config in self._configs):
            row = layout.join([*recycled(layout.split(row), layout.split(fresh), idle, self._layers).values()])
        return ((1 - remedy.shrink) * row + remedy.perturb * fresh).to(row.dtype)

    # --- units that start afresh in training --------------------------------------------------------------------------

    def _begun(self) -> Standing:
        """The standing of all members' units, where they begin or where earlier attempts have left them."""
        units = self.fit.stack.layout.shapes[f"{self._layers[0]}.weight"][0]
        new = newcomers(len(self._layers) - 1, units)
        kept = [trial.restored.get("standing", new) if trial.restored else new for trial in self._trials]
        return {name: torch.stack([own[name] for own in kept]).to(self._keys.device) for name in new}

    def _renew(self, batch: Batch) -> None:
        found = self.fit.stack.evaluate(activities, batch.inputs)
        arguments = (self.fit.stack.parameters, self._standing, found, self._keys, self._members.values)
        self.fit.stack.parameters, self._standing = self._renewals(*arguments)

    def _renewed(
        self, row: Tensor, standing: Standing, found: Activities, key: draws.Key, values: Mapping[Any, Tensor]
    ) -> tuple[Tensor, Standing]:
        config, layout = self._members.bind(values), self.fit.stack.layout
        remedy, weights = config.remedy, layout.split(row)
        standing = judged(standing, found, weights, self._layers, remedy.use_decay)
        means = usual(standing, remedy.use_decay)
        taken, after = chosen(standing, remedy.replace, remedy.maturity, remedy.use_decay)
        assert isinstance(config.model, mlp.Config), "its config refuses others"
        scale = gain(config.model.activation) * config.init_scale
        fresh = fresh_rows(key, standing["step"], weights, self._layers, scale)
        return layout.join([*renewed(weights, taken, means, fresh, self._layers).values()]), after

    # --- what is reported ---------------------------------------------------------------------------------------------

    def _activities(self) -> Activities:
        """Of all members, on the examples of the last task."""
        return self.fit.stack.evaluate(activities, self.fit.train.chunk(0, self.fit.train.count))

    def _fresh(self, purpose: str) -> Fit[Config]:
        """The same cohort as it might begin with this task."""
        configs = [self._configs[number] for number in self.fit.epochs]
        seeds = [self._seeds[number] for number in self.fit.epochs]
        names = [f"{purpose}/{task}" for task in self.fit.epochs.values()]
        streams = [torch.Generator().manual_seed(stream_seed(*pair)) for pair in zip(seeds, names, strict=True)]
        shape, classes = tuple(self.fit.train.inputs.shape[1:]), self.fit.train.num_classes
        networks = [c.model.build(shape, classes, stream) for c, stream in zip(configs, streams, strict=True)]
        return Fit(configs, networks, self.fit.train, seeds, device=self._trials[0].device)

    def measure(self) -> dict[int, Metrics]:
        """The metrics of each member, whose state is offered."""
        fresh, found = self._fresh("control"), self._activities()
        fresh.run_epoch(self._trials[0].pulse)
        own = {
            "accuracy/fresh": self._online(fresh),
            "dead_units": each(dead_share, found).tolist(),
            "effective_rank": each(effective_rank, found[-1].nan_to_num(0, 0, 0)).tolist(),
            "weight_norm": torch.linalg.vector_norm(self.fit.stack.parameters, dim=1).tolist(),
        }
        numbers = list(self.fit.epochs)
        return {n: self._metrics(n, {k: v[place] for k, v in own.items()}) for place, n in enumerate(numbers)}

    def _metrics(self, number: int, own: Metrics) -> Metrics:
        trial, past, count = self._trials[number], self._past[number], self._configs[0].report_every
        trial.checkpoint(partial(self._state, number))
        if len(past) == self._configs[0].epochs:
            trial.finish()
        early, online = sum(past[:count]) / count, sum(past[-count:]) / count
        accuracies = {"accuracy/online": online, "accuracy/early": early, "drop": early - online}
        return {"step": len(past), **accuracies, **own, "lost": own["accuracy/fresh"] - past[-1]}

    def _state(self, number: int) -> dict[str, Any]:
        place = list(self.fit.epochs).index(number)
        standing = {name: value[place].clone() for name, value in self._standing.items()}
        renews = {"standing": standing} if self._configs[number].remedy.replace else {}
        return {"fit": self.fit.state(number), "past": list(self._past[number]), **renews}


def _flat(part: StackedPart) -> StackedPart:
    """Each member with scaled inputs of its own, as vectors."""
    inputs = part.chunk(0, part.count).flatten(2)
    rows = torch.arange(inputs.shape[0] * part.count, device=inputs.device).view(inputs.shape[:2])
    return StackedPart(inputs.flatten(0, 1), rows, part.labels, part.num_classes)

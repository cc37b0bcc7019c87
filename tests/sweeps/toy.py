"""A trainable without torch, for the tests of the sweep language."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from trainables.api import Fraction, PerMember, Positive, PositiveInt
from trainables.config import Component
from trainables.models import mlp

METRICS = {"loss/validation": "tuned on", "loss/test": "claimed", "parameters": "a count"}


@dataclass(frozen=True, kw_only=True)
class Attack:
    epsilon: Fraction = 8 / 255
    """Radius."""
    norm: Literal["L2", "Linf"] = "Linf"


@dataclass(frozen=True, kw_only=True)
class Config:
    model: Annotated[Any, Component("trainables.models")] = field(default_factory=mlp.Config)
    """The architecture."""
    attack: Attack = field(default_factory=Attack)
    lr: PerMember[Positive] = 0.1
    """Step size.

    Relative to nothing."""
    smoothing: PerMember[Fraction] = 0.0
    epochs: PositiveInt = 5


def run_one(config: Config) -> Iterator[Mapping[str, float]]:
    for _ in range(config.epochs):
        yield dict.fromkeys(METRICS, config.lr)

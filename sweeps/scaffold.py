"""``assay new``: a trainable or a sweep that runs at once, to be changed."""

from __future__ import annotations

import re
from pathlib import Path

TRAINABLE = '''"""{title}: say what is trained or attacked, and what it reports."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trainables.api import PerMember, Positive, PositiveInt, Trial

METRICS = {{"loss": "squared distance to the optimum, in input units squared"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    lr: PerMember[Positive] = 0.1
    """Step size of gradient descent."""
    noise: PerMember[float] = 0.0
    """Standard deviation of the gradient noise."""
    num_steps: PositiveInt = 20


def train(config: Config, trial: Trial) -> Iterator[Mapping[str, float]]:
    """Gradient descent on x**2. Put your training loop here; yield what you want to see and compare."""
    x, noise = 3.0, trial.streams.numpy("noise")
    for _ in range(config.num_steps):
        x -= config.lr * (2 * x + config.noise * noise.normal())
        yield {{"loss": x**2}}
'''

SWEEP = """{schema}sweep: {name}
question: Which noise level still lets gradient descent reach the optimum?
trainable: {trainable}

factors:                            # compared: every combination is a cell
  noise: [0.0, 1.0]
nuisance:                           # tuned away, separately in every cell
  lr: {{low: 1e-3, high: 1.0, log: true}}
fixed: {{num_steps: 20}}
objective: {{minimize: loss}}
search: {{sampler: tpe, points: 8}}   # per cell
seeds: {{tune: 1, confirm: 20}}
claims:
  - name: noise raises the loss
    metric: loss
    where: {{noise: 1.0}}
    against: {{noise: 0.0}}
    expect: greater
"""


class ScaffoldError(Exception):
    """A file that cannot be made; one line."""


def new_trainable(name: str, folder: Path) -> Path:
    """``<name>.py`` with a Config, METRICS and a generator."""
    stem = _checked(name.removesuffix(".py"), r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and _")
    return _write(folder / f"{stem}.py", TRAINABLE.format(title=stem.replace("_", " ").capitalize()))


def new_sweep(name: str, folder: Path, trainable: str | None = None) -> list[Path]:
    """``<name>.yaml``, and the trainable that it names unless one is given that exists."""
    stem = _checked(name.removesuffix(".yaml"), r"[a-z0-9][a-z0-9-]*", "small letters, digits and -")
    module = "my_trainable" if stem[0].isdigit() else stem.replace("-", "_")
    _check_new(folder / f"{stem}.yaml")
    made = [] if trainable else [new_trainable(module, folder)]
    schema = f"# yaml-language-server: $schema={(Path(__file__).parent / 'schema.json').as_uri()}\n"
    text = SWEEP.format(schema=schema, name=stem, trainable=trainable or f"{module}.py:train")
    return [*made, _write(folder / f"{stem}.yaml", text)]


def _checked(name: str, pattern: str, allowed: str) -> str:
    if not re.fullmatch(pattern, name):
        raise ScaffoldError(f"{name!r} is no name for this: use {allowed}")
    return name


def _check_new(path: Path) -> None:
    if path.exists():
        raise ScaffoldError(f"{path} exists already; choose another name")


def _write(path: Path, text: str) -> Path:
    _check_new(path)
    path.write_text(text, encoding="utf-8")
    return path

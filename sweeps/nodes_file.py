"""A file that describes the nodes of a cluster, so that a plan can be made before there is one.

nodes:
  - {name: head, cpus: 4}
  - {name: worker, count: 8, cpus: 32, gpus: 4, memory: 256GB, accelerator: H100, custom: {tpu_slice: 1}}
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from cluster.nodes import Machines
from sweeps.document import read
from sweeps.errors import refusal
from sweeps.problems import problems
from sweeps.spec import Model
from sweeps.values import Bytes, NonNegative, Positive


class NodesOfOneKind(Model):
    """Nodes that have the same."""

    name: str = Field(default="node", min_length=1, max_length=80)
    count: int = Field(default=1, ge=1, le=10_000)
    cpus: NonNegative = 0
    gpus: int = Field(default=0, ge=0)
    memory: Bytes | None = None
    accelerator: str | None = Field(default=None, min_length=1)
    custom: dict[str, Positive] = Field(default_factory=dict)

    @property
    def machines(self) -> Machines:
        has = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0, **self.custom}
        if self.accelerator:
            has[f"accelerator_type:{self.accelerator}"] = 1
        return Machines(self.name, {name: float(amount) for name, amount in has.items() if amount}, self.count)


class NodesFile(Model):
    nodes: list[NodesOfOneKind] = Field(min_length=1)


def load(path: Path) -> list[Machines]:
    """The machines that a file describes. Raises SpecError with one line per problem."""
    document = read(path)
    try:
        found = NodesFile.model_validate(document.tree)
    except ValidationError as error:
        raise refusal(*problems(document, error, NodesFile)) from None
    return [kind.machines for kind in found.nodes]

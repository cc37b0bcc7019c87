"""How a sweep is searched and run: the keys of the YAML document that say nothing about its question."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, field_validator, model_validator

from analysis.records import CONFIRM_SEEDS
from sweeps.values import Bytes, Model, NonNegative, Positive, by_kind, fault

Sampler = Literal["random", "qmc", "tpe", "gp", "cmaes", "nsga2", "grid"]


class Search(Model):
    """How each cell is tuned. Every cell gets the same budget."""

    sampler: Sampler = "tpe"
    points: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="per cell; default 16, the whole grid, or 1 if there is nothing to tune",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the sampler; the same in every cell")
    concurrent: int | None = Field(default=None, ge=1, description="points of one cell in flight at most")
    trials: int | None = Field(default=None, ge=1, description="tuning trials in all, shared out evenly")
    time_s: Positive | None = Field(default=None, description="no new point after this time of tuning")


class Scheduler(Model):
    """When a trial is stopped early. Steps are those that the trainable reports."""

    name: Literal["none", "asha", "hyperband", "median", "pbt"] = "none"
    grace_steps: int = Field(default=1, ge=1, description="no trial is stopped before this step")
    max_steps: int | None = Field(default=None, ge=1, description="hyperband: the last step of a full trial")
    reduction: int = Field(default=3, ge=2, description="asha, hyperband: one in this many goes on at a rung")
    warmup_points: int = Field(default=4, ge=0, description="median: points that run in full first")
    interval_steps: int = Field(default=100, ge=1, description="pbt: steps between exploits")
    quantile: Positive = Field(default=0.25, le=0.5, description="pbt: the share that is replaced")


class Seeds(Model):
    """Replicates of each point while tuning, and of each winner when confirming."""

    tune: int = Field(default=1, ge=1, le=1000)
    confirm: int = Field(default=CONFIRM_SEEDS, ge=0, le=10_000)
    confirm_at_most: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="how many confirm seeds `assay confirm` may give a cell; claims are judged as at the first of "
        "several looks from the start",
    )

    @model_validator(mode="after")
    def _room(self) -> Seeds:
        if self.confirm_at_most is not None and self.confirm_at_most < self.confirm:
            raise fault("fewer than the confirm seeds", "confirm_at_most", f"at least {self.confirm}, as confirm")
        return self


Cohort = Annotated[
    Annotated[Literal["auto", "off"], Tag("|text")] | Annotated[int, Field(ge=1), Tag("|number")],
    by_kind("auto, off or a number of trials", lambda value: {str: "text", int: "number"}.get(type(value))),
]


_OURS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}  # of Ray's own resources, and which key asks for it


class Resources(Model):
    """What one process of a trial gets, and how many trials run at a time."""

    cpus: Positive = 1
    gpus: NonNegative = Field(default=0, description="whole GPUs, or a share of one: 0.25")
    memory: Bytes | None = Field(default=None, description="such as 4GB; where less is left, no trial starts")
    accelerator: str | None = Field(default=None, min_length=1, description="Ray's name of a type of GPU, such as H100")
    custom: dict[str, Positive] = Field(
        default_factory=dict, description="resources that the nodes of a cluster were started with: {tpu_slice: 1}"
    )
    workers: int = Field(default=0, ge=0, description="0: the trial is one process; N: N processes train together")
    concurrent: int | None = Field(default=None, ge=1, description="trials at a time at most; default: what fits")
    retries: int = Field(default=2, ge=0, description="new attempts after a trial's process died")
    heartbeat_s: Positive | None = Field(
        default=None,
        description="a process that neither reports nor pulses for so long is killed, and its trials run again; "
        "default: no limit",
    )
    cohort: Cohort = Field(default="auto", description="trials that are trained together in one process")

    @field_validator("gpus")
    @classmethod
    def _whole_or_less(cls, gpus: int | float) -> int | float:
        if gpus > 1 and gpus != int(gpus):
            raise fault("a share of several GPUs", expected="a whole number, or a share of one")
        return gpus

    @field_validator("custom")
    @classmethod
    def _not_ours(cls, custom: dict[str, Any]) -> dict[str, Any]:
        for name in custom:
            if key := _OURS.get(name):
                raise fault(f"{name} is no custom resource; resources.{key} asks for it", name)
            if not name or ":" in name or name == "object_store_memory":
                raise fault(f"{name!r} is no name of a custom resource", name)
        return custom


class Checkpoints(Model):
    """Which states of a trial are kept. While it runs, its last two always are."""

    keep: Literal["last", "best", "every"] = Field(
        default="last",
        description="the last ones; the best by the (first) objective, of those saved, and the last one; or one "
        "whenever so many more steps are reported, and the last one",
    )
    count: int = Field(default=2, ge=1, description="last, best: how many")
    steps: int | None = Field(default=None, ge=1, description="every: the steps between two that are kept")
    of: Literal["confirm", "all"] = Field(
        default="confirm", description="the trials whose states stay when they are done"
    )
    disk: Bytes | None = Field(
        default=None,
        description="for the states of the whole run, such as 20GB: the least needed go first, never the last two of "
        "a trial that is not done, never the last one of a confirm trial",
    )

    @model_validator(mode="after")
    def _steps_where_they_count(self) -> Checkpoints:
        if (self.keep == "every") != (self.steps is not None):
            expected = "steps: how many lie between two" if self.steps is None else "keep: every, or no steps"
            raise fault(f"keep: {self.keep}, {'without' if self.steps is None else 'with'} steps", "keep", expected)
        return self


class Limits(Model):
    """A plan whose estimate exceeds one of these is refused."""

    hours: Positive | None = None
    gpu_hours: Positive | None = None
    trials: int | None = Field(default=None, ge=1)

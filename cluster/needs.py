"""What a job is to find on a cluster, as the user says it: packages or an image, and environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.jobs import SubmitError
from trainables.secrets import NAMES

STOP_WAIT_S = 30  # what a run gets to finish its records when the job is stopped
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Needs:
    """Packages (by pip or uv) or an image; what the cluster has if there is nothing of it."""

    pip: tuple[str, ...] = ()
    uv: tuple[str, ...] = ()
    image: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets among it

    def runtime_env(self) -> dict[str, Any]:
        """The fields of Ray's runtime environment, without code."""
        found = {"pip": list(self.pip), "uv": list(self.uv), "image_uri": self.image, "env_vars": self._variables()}
        return {key: value for key, value in found.items() if value}

    def _variables(self) -> dict[str, str]:
        return {
            "PYTHONUNBUFFERED": "1",
            "RAY_JOB_STOP_SIGNAL": "SIGTERM",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
            **self.env,
        }


def needs(*, pip: Sequence[str] = (), uv: Sequence[str] = (), image: str = "", env: Sequence[str] = ()) -> Needs:
    """``pip``, ``uv``: packages, or files that list some. ``env``: ``NAME=VALUE``, or ``NAME`` for a secret from here.

    Raises:
        SubmitError: if they contradict each other, or a variable or file is not there.
    """
    given = [name for name, value in (("--pip", pip), ("--uv", uv), ("--image", image)) if value]
    if len(given) > 1:
        raise SubmitError(f"{' and '.join(given)}: expected one of them: packages come one way or in an image")
    values, secrets = _values(env)
    if image:
        _check_image(values, secrets)
    if secrets:
        values[NAMES] = ",".join(secrets)
    return Needs(_listed("--pip", pip), _listed("--uv", uv), image, values)


def _values(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    secrets: list[str] = []
    for word in words:
        name, given, value = word.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise SubmitError(
                "--env: expected NAME=VALUE, or the NAME of a variable, such as HF_TOKEN"
            )  # no value shown
        if not given and name not in os.environ:
            raise SubmitError(
                f"--env {name}: there is no such variable here; export it first, or give --env {name}=VALUE"
            )
        if not given:
            secrets.append(name)
        values[name] = value if given else os.environ[name]
    return values, secrets


def _check_image(values: Mapping[str, str], secrets: Sequence[str]) -> None:
    if secrets:
        raise SubmitError(
            f"--env {secrets[0]} with --image: Ray writes the variables of a container into its log; "
            "give the nodes a role or a mounted secret instead"
        )
    if "://" not in values.get("ASSAY_RUNS", ""):
        raise SubmitError(
            "--image: what is written in a container goes away with it; "
            "say where runs go to: --env ASSAY_RUNS=s3://BUCKET/runs"
        )


def _listed(option: str, words: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for word in words:
        if not word.endswith(".txt"):
            found.append(word)
            continue
        try:
            lines = Path(word).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise SubmitError(f"{option} {word}: cannot be read: {error}") from None
        found += [text for line in lines if (text := line.partition(" #")[0].strip()) and not text.startswith("#")]
    return tuple(found)

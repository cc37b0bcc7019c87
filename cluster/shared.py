"""Whether the nodes of a cluster see the folder of a run.

Processes write their reports there. On a node that sees another folder of that name, they would be lost without a word.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from cluster import placement
from cluster.errors import NotReady
from cluster.placement import Resources

_PATIENCE_S = 60.0  # for a node to start a process and to answer


class FolderError(NotReady):
    """A folder that some nodes do not see, or may not write to; one line."""


def check(folder: Path, resources: Resources) -> None:
    """Raise FolderError unless every node that may run a trial finds here what this process has written.

    This process's own node is not asked. One that is too busy to answer is taken at its word.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    takes = placement.bundle(resources)
    nodes = [n for n in ray.nodes() if n["Alive"] and n["NodeID"] != here and placement.places(takes, n["Resources"])]
    if not nodes:
        return
    token = secrets.token_hex(16)
    mark = folder / f".assay-{token[:8]}"
    mark.write_text(token, encoding="utf-8")
    try:
        answers = _ask(nodes, mark, token)
    finally:
        mark.unlink(missing_ok=True)
    if answers:
        found = "; ".join(f"{node}: {answer}" for node, answer in sorted(answers.items())[:5])
        more = f" and {len(answers) - 5} more" if len(answers) > 5 else ""
        hint = "put run folders on storage that all nodes share (--runs, or ASSAY_RUNS)"
        raise FolderError(f"{folder}: {len(answers)} of {len(nodes)} nodes cannot use it: {found}{more}; {hint}")


def _ask(nodes: list[dict[str, Any]], mark: Path, token: str) -> dict[str, str]:
    """What is wrong, by node."""
    import ray

    asked = {_asked(node, mark, token): name_of(node) for node in nodes}
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
    said = {asked[answer]: _answer(answer) for answer in ready}
    return {name: what for name, what in said.items() if what}


def _asked(node: dict[str, Any], mark: Path, token: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task: Any = ray.remote(num_cpus=0, max_retries=0)(look)
    return task.options(scheduling_strategy=there).remote(str(mark), token)


def name_of(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} {node['NodeID'][:6]}"


def _answer(answer: Any) -> str:
    """Empty also for a node that left while it was asked, which then runs nothing."""
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(answer)
    except RayError:
        return ""


class Question:
    """Asks one node, without waiting."""

    def __init__(self, folder: Path, node: dict[str, Any]) -> None:
        token = secrets.token_hex(16)
        self._mark, self._until = folder / f".assay-{token[:8]}", time.monotonic() + _PATIENCE_S
        self._mark.write_text(token, encoding="utf-8")
        self._asked = _asked(node, self._mark, token)

    def answer(self) -> str | None:
        """What is wrong; empty if nothing is; None as long as the node may still answer."""
        import ray

        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready and time.monotonic() < self._until:
            return None
        self._mark.unlink(missing_ok=True)
        return _answer(self._asked) if ready else ""


def look(mark: str, token: str) -> str:
    """On a node: what is wrong with the folder of ``mark``; empty if nothing is."""
    path = Path(mark)
    try:
        if path.read_text(encoding="utf-8") != token:
            return "another folder of this name"
        answer = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
        answer.write_text(token, encoding="utf-8")
        answer.unlink()
    except FileNotFoundError:
        return "it is not there"
    except OSError as error:
        return str(error.strerror or error)
    return ""

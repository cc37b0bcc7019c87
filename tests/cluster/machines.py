"""A Ray cluster of one or several nodes on this machine, to which nodes are added and of which they are taken."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import HERE

_SEES_DEATHS_SOON = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}  # not after 15 s
_HEAD = {
    "num_cpus": 0,
    "include_dashboard": False,
    "object_store_memory": 80 * 2**20,
    "_system_config": _SEES_DEATHS_SOON,
}


@dataclass(frozen=True)
class Machines:
    cluster: Any

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, **has: Any) -> Any:
        return self.cluster.add_node(object_store_memory=80 * 2**20, **has)

    def kill(self, node: Any) -> None:
        """All processes of Ray itself at once, as when a machine loses power."""
        self.cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def unjoined(head: dict[str, Any], *nodes: dict[str, Any]) -> Iterator[Machines]:
    """A head and nodes, with what each of them has, that no process has joined."""
    from ray.cluster_utils import Cluster

    home = Path(tempfile.mkdtemp(prefix="assay-", dir="/tmp"))  # a short path: sockets lie in it
    (home / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("RAY_TMPDIR", str(home))
        found = Machines(Cluster(initialize_head=True, head_node_args={**_HEAD, **head}))
        try:
            for has in nodes:
                found.add(**has)
            yield found
        finally:
            found.cluster.shutdown()
            shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def machines(*nodes: dict[str, Any]) -> Iterator[Machines]:
    """A head without CPUs, and one node for each mapping of what it has. The process has joined it."""
    from cluster.session import session

    leave_local()
    with unjoined({}, *nodes) as found, session(found.address):
        yield found


_local = contextlib.ExitStack()


def join_local() -> None:
    """Have one Ray with two CPUs for all tests that need it, until ``leave_local``. Its workers can import the fakes.

    It has no token, as a process that has used one cannot join ``machines`` afterwards, which have none.
    """
    import ray

    from cluster.session import session

    if not ray.is_initialized():
        patch = _local.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PYTHONPATH", HERE)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        _local.enter_context(session(num_cpus=2))


def leave_local() -> None:
    """A process can be in one cluster at a time only."""
    _local.close()

"""A Ray cluster of several nodes on this machine, to which nodes are added and of which they are taken."""

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

_HEAD = {"num_cpus": 0, "include_dashboard": False}
_SEES_DEATHS_SOON = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}  # not after 15 s


@dataclass(frozen=True)
class Machines:
    cluster: Any

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, **has: Any) -> Any:
        return self.cluster.add_node(object_store_memory=80 * 2**20, **has)

    def kill(self, node: Any) -> None:
        """All of its processes at once, as when a machine loses power."""
        self.cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def machines(*nodes: dict[str, Any]) -> Iterator[Machines]:
    """A head without CPUs, and one node for each mapping of what it has. The process has joined it."""
    import ray
    from ray.cluster_utils import Cluster

    home = Path(tempfile.mkdtemp(prefix="assay-", dir="/tmp"))  # a short path: sockets lie in it
    (home / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("RAY_TMPDIR", str(home))
        cluster = Cluster(
            initialize_head=True,
            head_node_args={**_HEAD, "object_store_memory": 80 * 2**20, "_system_config": _SEES_DEATHS_SOON},
        )
        found = Machines(cluster)
        try:
            for has in nodes:
                found.add(**has)
            from cluster.session import session

            with session(found.address):
                yield found
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(home, ignore_errors=True)

"""The nodes of the cluster, as its head knows them: which one this process is on, and which are there to stay."""

from __future__ import annotations

import ray
from ray._private import state


def here() -> str:
    """Id of this process's node; '' without a cluster."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def staying() -> set[str]:
    """Ids of the nodes that live and have had no notice of their end."""
    alive = {str(node["NodeID"]) for node in ray.nodes() if node["Alive"]}
    return alive - state.state.get_draining_nodes().keys()

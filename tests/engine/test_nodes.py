"""Which nodes are there to stay."""

from __future__ import annotations

import pytest

from pipeline.engine import nodes


@pytest.mark.usefixtures("ray_cluster")
def test_a_node_stays_until_it_has_had_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes.staying() == {nodes.here()}
    monkeypatch.setattr(nodes.state.state, "get_draining_nodes", lambda: {nodes.here(): 0})
    assert nodes.staying() == set()

"""What happens to the ledger of real nodes that are killed, cut off, set back or lied to."""

from __future__ import annotations

from pathlib import Path

from testbed.ledger_kills import Kills, forked_cluster


def test_nodes_that_are_killed_while_they_write_lose_nothing_they_acknowledged(
    tmp_path: Path,
) -> None:
    """The short form of ``tests/faults/ledger_kills.py``."""
    with forked_cluster(tmp_path) as cluster:
        figures = Kills(cluster, tmp_path, seed=1).run(12)
    print(figures)
    assert figures.kills.total() >= 12
    assert figures.sealed > 5
    assert figures.local > 5

"""What happens to the ledger of real nodes that are killed, cut off, set back or lied to."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.ledger_flips import Flips
from testbed.ledger_kills import Kills, agreed, grow
from testbed.nodes import Cluster, Node
from testbed.offices import agreement, successor_of
from testbed.waiting import until

PATIENCE_S = 40.0


def note(node: Node, text: str) -> dict[str, Any]:
    """Put a note on record by a connection of its own; return once it is sealed."""
    caller = Node(node.home.directory, node.name)
    try:
        entry: dict[str, Any] = caller.post(
            "/api/ledger/entries", {"text": text, "ack": "sealed", "request": os.urandom(16).hex()}
        )
    finally:
        caller.hang_up()
    return entry


def test_nodes_that_are_killed_while_they_write_lose_nothing_they_acknowledged(
    tmp_path: Path,
) -> None:
    """The short form of ``tests/faults/ledger_kills.py``."""
    with Cluster(tmp_path, 3) as cluster:
        figures = Kills(cluster, tmp_path, seed=1).run(12)
    print(figures)
    assert figures.kills.total() >= 12
    assert figures.sealed > 5
    assert figures.local > 5


def test_an_old_coordinator_that_comes_back_seals_nothing_beside_the_new_one(
    tmp_path: Path,
) -> None:
    """It was cut off in the middle of its work, and for a moment there are two."""
    with Cluster(tmp_path, 3) as cluster:
        office = cluster.settle()
        old = cluster.coordinator(office)
        rest = [node for node in cluster.members if node is not old]
        before = note(old, "in the old term")
        with ThreadPoolExecutor(4) as threads:
            for turn in range(2):
                writing = [threads.submit(note, old, f"cut off {turn}.{n}") for n in range(4)]
                old.freeze()
                after, _ = agreement(rest, successor_of(office))
                assert note(rest[0], f"in the new term {turn}")["sealed"]
                old.thaw()
                said = [one.result() for one in writing]
                assert all(one["sealed"] for one in said)
                office = cluster.settle()
                assert office.term >= after.term
                old = cluster.coordinator(office)
                rest = [node for node in cluster.members if node is not old]
        held = agreed(cluster.members, PATIENCE_S)
        assert held.places[before["id"]].height == before["sealed"]
        assert all(held.places[one["id"]].height == one["sealed"] for one in said)
        assert max(held.texts.values()) == 1


def test_the_state_at_a_past_seal_is_what_was_shown_as_sealed_then(tmp_path: Path) -> None:
    """Also after everything was killed, and on a node that came later."""
    with Cluster(tmp_path, 1) as cluster:
        (first,) = cluster.members
        entity = f"node:{first.identity}"
        shown: dict[int, dict[str, Any]] = {}
        for turn in range(3):
            until(lambda: first.get("/api/ledger/sync")["unsealed"] == 0)
            told = first.get(f"/api/ledger/state?entity={entity}")
            shown[told["height"]] = told
            first.kill()
            first.start()
            assert note(first, f"turn {turn}")["sealed"]
        assert len({json.dumps(one["rows"]) for one in shown.values()}) > 1
        second = grow(cluster)
        agreed(cluster.members, PATIENCE_S)
        for node in (first, second):
            for height, told in shown.items():
                assert node.get(f"/api/ledger/state?entity={entity}&at={height}") == told


@pytest.mark.thorough
def test_voters_change_while_nodes_that_write_are_killed(tmp_path: Path) -> None:
    """Two more join meanwhile: three vote in the beginning, five in the end."""
    with Cluster(tmp_path, 3) as cluster:
        until(lambda: voters_of_last_seal(cluster.members[0]) == 3)
        figures = Kills(cluster, tmp_path, seed=2).run(
            8, meanwhile=lambda: (grow(cluster), grow(cluster))
        )
        print(figures)
        first = cluster.members[0]
        until(lambda: note(first, "five") and voters_of_last_seal(first) == 5)
        agreed(cluster.members, PATIENCE_S)
        for node in cluster.members:
            assert node.post("/api/ledger/verify", {"deep": True})["verified"]


def voters_of_last_seal(node: Node) -> int:
    return max(
        (len(seal["voters"]) for seal in node.get("/api/ledger/seals?limit=1")["seals"]), default=0
    )


@pytest.mark.thorough
def test_flipped_bits_are_never_served_and_put_right(tmp_path: Path) -> None:
    """The short form of ``tests/faults/ledger_flips.py``."""
    with Cluster(tmp_path, 3) as cluster:
        flips = Flips(cluster, seed=4)
        outcomes = flips.run(4)
        flips.run_ends()
    print(dict(outcomes))
    assert outcomes.total() == 4
